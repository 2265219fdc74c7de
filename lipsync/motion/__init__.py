"""What lips do, for systems that are told: predicted, read from a style video, given as a file."""
