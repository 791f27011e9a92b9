"""The contracts: what a broker, a backend, a serializer, a pool and a schedule store are.

They import nothing but the standard library and :mod:`tq_core.message` and :mod:`tq_core.errors`. Their docstrings are
the specification, and ``tq_core.testing.conformance`` is its executable form.
"""

#: Version of the contracts a plugin is built for. Raised when a change breaks plugins.
CONTRACT_VERSION = 1
