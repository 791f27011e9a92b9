"""The fixture ``app``, apart from the others because the name may belong to somebody else.

Any ``app`` of a project comes first, and this is not loaded where another plugin has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tq_core.app import Celery


@pytest.fixture
def app(tq_app: Celery) -> Celery:
    """Another name of ``tq_app``."""
    return tq_app
