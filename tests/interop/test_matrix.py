"""tq and Celery on the same broker: every feature, in every encoding, from every client to every worker."""

from __future__ import annotations

import pytest

from tests.interop.conftest import Stage
from tests.interop.matrix import PAIRS, outcome, tried
from tests.interop.places import PLACES

# The first test may have to make the environments of Celery.
pytestmark = [pytest.mark.real_celery, pytest.mark.timeout(600)]

CELLS = [
    (word, producer, worker, feature, encoding)
    for word, site in PLACES.items()
    for producer, worker in PAIRS
    for feature in tried(word)
    for encoding in site.encodings
]


@pytest.mark.parametrize(("stage", "producer", "worker", "feature", "encoding"), CELLS, indirect=["stage"])
def test_a_feature_works_between_two_sides(
    stage: Stage, producer: str, worker: str, feature: str, encoding: str
) -> None:
    assert stage.outcome(producer, worker)[f"{feature}-{encoding}"] == outcome(feature, stage.place)
