"""A result backend for tq in one SQLite file, with nothing but the standard library."""
