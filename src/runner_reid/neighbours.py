"""Similarity and common neighbours together, fitted to how often a runner can come by."""

import numpy as np

from runner_reid.reranking import rerank

SMOOTHING = 0.3
"""Neighbours averaged over, as a share of those looked at: the published 6 of 20 (reranking.rerank)."""


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
        jaccard = rerank(distance, allowed, form="soft", k1=laps, k2=smoothed, jaccard_share=1.0)
        shared = 1 - jaccard.astype(np.float64)
        similarity = (1 - jaccard_share) * similarity + jaccard_share * (shared + shared.T) / 2
    return similarity
