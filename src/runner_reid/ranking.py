"""Which scenes may be ranked against each other at all, and how."""

import logging
from collections.abc import Sequence

import numpy as np

from runner_reid.laps import estimate_min_lap
from runner_reid.reranking import rerank as rerank_distances
from runner_reid.similarity import fuse, separating_weights

log = logging.getLogger(__name__)

SMOOTHING = 0.3
"""Neighbours averaged over, as a share of those looked at: the published 6 of 20 (reranking.rerank)."""
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


def seen_together(start_s: np.ndarray, end_s: np.ndarray) -> np.ndarray:
    """Which pairs of scenes share a moment, and so are two different human beings.

    start_s, end_s: (N,) seconds, times of the first and last frame, both included.
    Returns (N, N) bool, symmetric, False on the diagonal.

    >>> seen_together(np.array([0.0, 2.0, 5.0]), np.array([2.0, 4.0, 6.0])).tolist()
    [[False, True, False], [True, False, False], [False, False, False]]
    """
    together = (start_s[:, None] <= end_s[None, :]) & (start_s[None, :] <= end_s[:, None])
    return together & ~np.eye(len(start_s), dtype=bool)


def most_laps(allowed: np.ndarray) -> int:
    """How many scenes one runner may have at most: the longest run of scenes that are allowed, one to the next.

    allowed: (N, N) bool, scenes in order of start.

    >>> most_laps(np.abs(np.arange(7)[:, None] - np.arange(7)) > 2)
    3
    """
    count, last = 0, 0
    for scene in range(len(allowed)):
        if not count or allowed[last, scene]:
            count, last = count + 1, scene
    return count


def with_neighbours(similarity: np.ndarray, allowed: np.ndarray, *, jaccard_share: float, rounds: int) -> np.ndarray:
    """Similarity and common neighbours together, with as many neighbours as a runner can have scenes.

    similarity: (N, N) without NaN, allowed: (N, N) bool, scenes in order of start. Returns (N, N): `jaccard_share` of
    1 - the Jaccard distance of soft k-reciprocal sets (`reranking.rerank`), made symmetric, and the rest of similarity.
    k1 is the number of laps that fit into the session (`most_laps`), so that it fits a short practice as well as a long
    one; k2 is SMOOTHING of it. A larger share trusts neighbours more; more rounds look again from what the last gave,
    and 0 leaves similarity as it is.
    """
    if len(similarity) < 2:
        return similarity
    laps = max(most_laps(allowed & ~np.eye(len(allowed), dtype=bool)), 1)
    smoothed = max(round(SMOOTHING * laps), 1)
    for _ in range(rounds):
        distance = np.maximum(1 - similarity, 0)
        jaccard = rerank_distances(distance, allowed, form="soft", k1=laps, k2=smoothed, jaccard_share=1.0)
        shared = 1 - jaccard.astype(np.float64)
        similarity = (1 - jaccard_share) * similarity + jaccard_share * (shared + shared.T) / 2
    return similarity


def system_similarity(
    similarities: dict[str, np.ndarray],
    allowed: np.ndarray,
    *,
    weights: dict[str, float] | Sequence[str],
    rerank: dict | None,
    neighbours: dict | None,
) -> np.ndarray:
    """What a system, an entry of the catalogue, says of every pair of scenes: larger is more alike.

    similarities: per extractor (N, N), NaN where unknown. allowed: (N, N) bool.
    weights: by extractor (`similarity.fuse`), or names only: then they follow from the video itself
        (`similarity.separating_weights`). rerank: the choices of `reranking.rerank`, on distance = 1 - similarity
        (half the squared distance of features of length 1); None does not re-rank. neighbours: the choices of
        `with_neighbours`, on what comes out of that; None for none.
    Returns (N, N) without NaN; re-ranked similarity is 1 - distance, and need not be symmetric.
    """
    if not isinstance(weights, dict):
        weights = separating_weights({name: similarities[name] for name in weights}, allowed)
        log.info("weights without labels: %s", ", ".join(f"{name} {value:.3f}" for name, value in weights.items()))
    similarity = fuse(similarities, weights)
    if rerank is not None:
        similarity = 1 - rerank_distances(np.maximum(1 - similarity, 0), allowed, **rerank)
    return similarity if neighbours is None else with_neighbours(similarity, allowed, **neighbours)


def rank_scenes(
    similarities: dict[str, np.ndarray],
    start_s: np.ndarray,
    end_s: np.ndarray,
    *,
    min_lap_s: float | None,
    laps: dict,
    system: dict,
) -> dict[str, np.ndarray]:
    """What a system says of every pair of scenes, and which may be the same runner: arrays RANKING but for scene.

    similarities: per extractor (N, N), NaN where unknown. start_s, end_s: (N,) seconds, in order of start.
    min_lap_s: as the sheet says; None: estimated from the system's plain similarity (`laps.estimate_min_lap`, whose
    choices `laps` are). system: the choices of `system_similarity`.
    """
    together = seen_together(start_s, end_s)
    recurrence_s = float("nan")
    if min_lap_s is None:
        plain = system_similarity(similarities, ~together, **system | {"rerank": None, "neighbours": None})
        min_lap_s, recurrence_s = estimate_min_lap(plain, start_s, together, **laps)
    allowed = allowed_pairs(start_s, min_lap_s=min_lap_s) & ~together
    return {
        "similarity": system_similarity(similarities, allowed, **system),
        "allowed": allowed,
        "min_lap_s": np.array(min_lap_s, np.float64),
        "recurrence_s": np.array(recurrence_s, np.float64),
    }
