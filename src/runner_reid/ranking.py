"""Which scenes may be ranked against each other at all, and how."""

import logging
from collections.abc import Sequence

import numpy as np

from runner_reid.reranking import rerank as rerank_distances
from runner_reid.similarity import fuse, separating_weights

log = logging.getLogger(__name__)

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


def system_similarity(
    similarities: dict[str, np.ndarray],
    allowed: np.ndarray,
    *,
    weights: dict[str, float] | Sequence[str],
    rerank: dict | None,
) -> np.ndarray:
    """What a system, an entry of the catalogue, says of every pair of scenes: larger is more alike.

    similarities: per extractor (N, N), NaN where unknown. allowed: (N, N) bool.
    weights: by extractor (`similarity.fuse`), or names only: then they follow from the video itself
        (`similarity.separating_weights`). rerank: the choices of `reranking.rerank`, on distance = 1 - similarity
        (half the squared distance of features of length 1); None does not re-rank.
    Returns (N, N) without NaN; re-ranked similarity is 1 - distance, and need not be symmetric.
    """
    if not isinstance(weights, dict):
        weights = separating_weights({name: similarities[name] for name in weights}, allowed)
        log.info("weights without labels: %s", ", ".join(f"{name} {value:.3f}" for name, value in weights.items()))
    similarity = fuse(similarities, weights)
    if rerank is None:
        return similarity
    return 1 - rerank_distances(np.maximum(1 - similarity, 0), allowed, **rerank)
