"""A face that speaks as the sound comes: prepared once, then frames for pushed samples, and a clock for both."""
