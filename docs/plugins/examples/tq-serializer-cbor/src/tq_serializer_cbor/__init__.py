"""CBOR for tq, written in plain Python."""
