"""Results: their handles, and waiting for them."""
