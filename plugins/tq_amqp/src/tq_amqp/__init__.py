"""RabbitMQ for tq."""
