"""A pool for tq that runs each task in a thread of its own."""
