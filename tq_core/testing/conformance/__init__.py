"""The contracts as tests: who writes a broker, backend or coordination subclasses one class with one fixture.

The classes live in modules of their own, so that using one of them imports pytest only where tests run::

    from tq_core.testing.conformance.broker import BrokerConformance

    class TestDemoBroker(BrokerConformance):
        @pytest.fixture
        def broker(self, tmp_path):
            broker = DemoBroker(tmp_path)
            yield broker
            broker.close()

What a plugin declares in its capabilities is tested; what it does not declare is skipped with the reason.
"""
