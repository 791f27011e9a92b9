"""A broker for tq that keeps each message in a file."""
