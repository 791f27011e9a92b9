raise AssertionError("what was published for Celery must not be imported by a listing")
