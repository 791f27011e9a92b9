"""What only SQLite needs: opening a file, telling its errors apart, and the hot verbs as single statements."""
