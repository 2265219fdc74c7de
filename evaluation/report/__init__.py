"""What was found, as tables, one page, pictures and files."""
