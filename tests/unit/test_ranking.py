"""Which pairs of scenes may be the same runner."""

import numpy as np
import pytest

from runner_reid.ranking import allowed_pairs


@pytest.mark.parametrize(
    ("start_s", "min_lap_s", "expected"),
    [
        pytest.param([], 60, np.zeros((0, 0)), id="empty"),
        pytest.param([5.0], 60, [[0]], id="one scene"),
        pytest.param([0.0, 60.0], 60, [[0, 0], [0, 0]], id="exactly a lap is forbidden"),
        pytest.param([0.0, 60.1], 60, [[0, 1], [1, 0]], id="more than a lap"),
        pytest.param([60.1, 0.0], 60, [[0, 1], [1, 0]], id="any order"),
        pytest.param([0.0, 0.0, 1.0], 0, [[0, 0, 1], [0, 0, 1], [1, 1, 0]], id="no lap known"),
    ],
)
def test_allowed_pairs(start_s, min_lap_s, expected):
    allowed = allowed_pairs(np.array(start_s), min_lap_s=min_lap_s)
    assert allowed.dtype == bool
    np.testing.assert_array_equal(allowed, np.array(expected, bool))
