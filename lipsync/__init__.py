"""From files to files: a video and a sound in, the same video saying the sound out."""
