"""Which scenes may be ranked against each other at all."""

import numpy as np

SAME_TIME_S = 1e-6
"""Times closer than this are equal: a frame's time is rounded, and a lap of exactly min_lap_s is forbidden."""


def allowed_pairs(start_s: np.ndarray, *, min_lap_s: float) -> np.ndarray:
    """Which pairs of scenes may be the same runner: those that start more than a lap apart.

    start_s: (N,) seconds.  Returns (N, N) bool, symmetric, False on the diagonal.
    A larger min_lap_s forbids more pairs: fewer wrong merges, and lost laps once it passes the fastest lap.

    >>> allowed_pairs(np.array([0.0, 10.0, 70.0]), min_lap_s=60).tolist()
    [[False, False, True], [False, False, False], [True, False, False]]
    """
    return np.abs(start_s[:, None] - start_s[None, :]) > min_lap_s + SAME_TIME_S
