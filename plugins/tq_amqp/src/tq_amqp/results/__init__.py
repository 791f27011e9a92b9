"""Results over AMQP: sent to the caller's own queue (``rpc``), or to a queue for each task (``amqp``)."""
