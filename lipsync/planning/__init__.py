"""What a result shows when: its timeline, whose face, which references, whose turn, which sound."""
