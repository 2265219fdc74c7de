"""What python -m evaluation does, a file a subcommand: `run(options, flags)` of each is loaded when it is asked for."""
