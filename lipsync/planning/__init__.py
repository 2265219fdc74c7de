"""What a result shows when: its timeline, the faces, their references, who speaks, the sound."""
