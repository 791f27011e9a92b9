"""What programs that use tq test with: see ``docs/testing.md``. Nothing is imported until it is used."""
