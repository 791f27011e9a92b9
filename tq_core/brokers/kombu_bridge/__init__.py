"""Queues over kombu's transports: the only place of the core that imports kombu.

What a transport can do is said by :class:`~tq_core.brokers.kombu_bridge.traits.Traits`, which the plugin that names
the transport hands over; nothing here asks for a transport by its name.
"""
