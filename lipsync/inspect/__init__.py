"""Looking before anything is made: dry run, preview, faces."""
