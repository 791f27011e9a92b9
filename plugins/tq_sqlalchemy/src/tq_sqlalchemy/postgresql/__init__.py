"""The PostgreSQL dialect, by psycopg 3."""
