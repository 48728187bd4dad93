"""Which pairs of scenes may be the same runner."""

import numpy as np
import pytest

from runner_reid.ranking import allowed_pairs, system_similarity
from runner_reid.reranking import rerank


@pytest.mark.parametrize(
    ("start_s", "min_lap_s", "expected"),
    [
        pytest.param([], 60, np.zeros((0, 0)), id="empty"),
        pytest.param([5.0], 60, [[0]], id="one scene"),
        pytest.param([0.0, 60.0], 60, [[0, 0], [0, 0]], id="exactly a lap is forbidden"),
        pytest.param([46 / 60, 3646 / 60], 60, [[0, 0], [0, 0]], id="exactly a lap of frames"),
        pytest.param([0.0, 60.1], 60, [[0, 1], [1, 0]], id="more than a lap"),
        pytest.param([60.1, 0.0], 60, [[0, 1], [1, 0]], id="any order"),
        pytest.param([0.0, 0.0, 1.0], 0, [[0, 0, 1], [0, 0, 1], [1, 1, 0]], id="no lap known"),
    ],
)
def test_allowed_pairs(start_s, min_lap_s, expected):
    allowed = allowed_pairs(np.array(start_s), min_lap_s=min_lap_s)
    assert allowed.dtype == bool
    np.testing.assert_array_equal(allowed, np.array(expected, bool))


def test_system_similarity():
    rng = np.random.default_rng(0)
    runners = np.tile(rng.normal(size=(6, 4)), (3, 1))
    body, shoe = (np.corrcoef(runners + 0.1 * rng.normal(size=(18, 4))) for _ in range(2))
    allowed = allowed_pairs(np.arange(18) * 20.0, min_lap_s=60)
    given = {"body": body, "shoe": shoe, "other": np.full((18, 18), np.nan)}
    plain = system_similarity(given, allowed, weights={"body": 0.75, "shoe": 0.25}, rerank=None)
    np.testing.assert_allclose(plain, 0.75 * body + 0.25 * shoe)
    choices = {"form": "soft", "k1": 3, "k2": 2, "jaccard_share": 0.7}
    again = system_similarity(given, allowed, weights={"body": 0.75, "shoe": 0.25}, rerank=choices)
    np.testing.assert_allclose(again, 1 - rerank(np.maximum(1 - plain, 0), allowed, **choices))
    found = system_similarity(given, allowed, weights=["body", "other"], rerank=None)
    np.testing.assert_allclose(found, body, err_msg="what knows nothing weighs nothing")
