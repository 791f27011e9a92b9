raise AssertionError("a disabled plugin must not be imported")
