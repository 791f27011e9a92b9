"""Every transport of kombu as a broker of tq."""
