"""What only SQLite needs: opening a file, reading its errors, and the hot verbs in single statements."""
