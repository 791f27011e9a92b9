"""tq and Celery on the same broker: every feature, in every encoding, from every client to every worker."""

from __future__ import annotations

import pytest

from tests.interop.conftest import Stage
from tests.interop.matrix import ENCODINGS, FEATURES, PAIRS, outcome

# The first test may have to make the environments of Celery.
pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize(("producer", "worker"), PAIRS, ids=str)
def test_a_feature_works_between_two_sides(
    stage: Stage, producer: str, worker: str, feature: str, encoding: str
) -> None:
    assert stage.outcome(producer, worker)[f"{feature}-{encoding}"] == outcome(feature, stage.place)
