"""The contracts as tests: who writes a plugin subclasses one class with one fixture, or runs the kit from outside.

A test file of a plugin's own names the plugin's address, and pytest does the rest::

    from tq_core.testing.conformance.address import Address
    from tq_core.testing.conformance.broker import BrokerConformance

    class TestDemoBroker(BrokerConformance):
        @pytest.fixture
        def address(self, tmp_path):
            return Address(f"demo://{tmp_path}")

:func:`tq_core.testing.conformance.run.run` tries an installed plugin without a test file, and ``tq plugins test``
prints what it found.

What a plugin declares in its capabilities is tested; what it does not declare is skipped with the reason. Each check
names the promise that it proves. The classes live in modules of their own, so that importing this package imports
no pytest.
"""

from __future__ import annotations

import importlib.util
import sys

from tq_core.errors import ImproperlyConfigured

#: The contracts' modules, which hold plain asserts.
_MODULES = ("broker", "backend", "coordination", "serializer", "pool", "schedule_store", "plugin")


def require_tools() -> None:
    """Make sure that what the checks run on is installed.

    Raises:
        ImproperlyConfigured: it is not; the text names the extra to install.
    """
    for needed in ("pytest", "hypothesis"):
        if importlib.util.find_spec(needed) is None:
            raise ImproperlyConfigured(
                f"the conformance kit needs {needed}, which is not installed: pip install 'tq-core[testing]'"
            )


def rewrite_asserts() -> None:
    """Let asserts of the kit say what they compared, as those of a test file do; before its modules are imported."""
    sys.modules["pytest"].register_assert_rewrite(*(f"{__name__}.{module}" for module in _MODULES))


if "pytest" in sys.modules:
    require_tools()
    rewrite_asserts()
