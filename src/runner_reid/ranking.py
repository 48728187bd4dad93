"""Which scenes may be ranked against each other at all, and how."""

import logging
from collections.abc import Sequence

import numpy as np

from runner_reid.identity import assign_identities
from runner_reid.laps import estimate_min_lap
from runner_reid.neighbours import with_neighbours
from runner_reid.reranking import rerank as rerank_distances
from runner_reid.similarity import fuse
from runner_reid.weighting import found_weights

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


def seen_together(start_s: np.ndarray, end_s: np.ndarray) -> np.ndarray:
    """Which pairs of scenes share a moment, and so are two different human beings.

    start_s, end_s: (N,) seconds, times of the first and last frame, both included.
    Returns (N, N) bool, symmetric, False on the diagonal.

    >>> seen_together(np.array([0.0, 2.0, 5.0]), np.array([2.0, 4.0, 6.0])).tolist()
    [[False, True, False], [True, False, False], [False, False, False]]
    """
    together = (start_s[:, None] <= end_s[None, :]) & (start_s[None, :] <= end_s[:, None])
    return together & ~np.eye(len(start_s), dtype=bool)


def system_similarity(
    similarities: dict[str, np.ndarray],
    allowed: np.ndarray,
    start_s: np.ndarray,
    *,
    weights: dict[str, float] | Sequence[str],
    rerank: dict | None,
    neighbours: dict | None,
    identity_share: float | None,
    identity: dict,
) -> np.ndarray:
    """What a system, an entry of the catalogue, says of every pair of scenes: larger is more alike.

    similarities: per extractor (N, N), NaN where unknown. allowed: (N, N) bool. start_s: (N,) seconds, in order.
    weights: by extractor (`similarity.fuse`), or names only: then they follow from the video itself
        (`weighting.found_weights`). rerank: the choices of `reranking.rerank`, on distance = 1 - similarity
        (half the squared distance of features of length 1); None does not re-rank. neighbours: the choices of
        `with_neighbours`, on what comes out of that; None for none. identity_share: how much it counts, from 0 to 1, to
        which runners two scenes were assigned (`with_identities`); None does not ask. identity: the choices of
        `identity.assign_identities`; empty for a system that asks neither for
        weights nor for runners.
    Returns (N, N) without NaN; re-ranked similarity is 1 - distance, and need not be symmetric.
    """
    if not isinstance(weights, dict):
        chosen = {name: similarities[name] for name in weights}
        weights = found_weights(chosen, allowed, start_s, identity=identity)
        log.info("weights without labels: %s", ", ".join(f"{name} {value:.3f}" for name, value in weights.items()))
    similarity = fuse(similarities, weights)
    if rerank is not None:
        similarity = 1 - rerank_distances(np.maximum(1 - similarity, 0), allowed, **rerank)
    if neighbours is not None:
        similarity = with_neighbours(similarity, allowed, **neighbours)
    if identity_share is None:
        return similarity
    return with_identities(similarity, allowed, start_s, share=identity_share, identity=identity)


def with_identities(
    similarity: np.ndarray, allowed: np.ndarray, start_s: np.ndarray, *, share: float, identity: dict
) -> np.ndarray:
    """How alike scenes are in the end, and the runners they were assigned to; (N, N) in 0..1, symmetric.

    `share` of it is the mean over all pairs of scenes of the two runners, the rest `Identities.alike` of
    `identity.assign_identities`, whose choices `identity` are. So who passes together with a runner who is known is not
    ranked as that runner, and a scene that shows little is ranked as the runner its laps tell. A larger share trusts
    the assignment more. All is brought to 0..1 at last: the published protocol favours whoever is below 0.
    """
    found = assign_identities(similarity, allowed, start_s, **identity)
    runner, alike = found.columns["runner"], found.alike
    belongs = np.eye(runner.max(initial=-1) + 1)[runner]
    size = belongs.sum(axis=0)
    pairs = np.outer(size, size) - np.diag(size)
    mean = np.divide(belongs.T @ alike @ belongs, pairs, out=np.zeros(pairs.shape), where=pairs > 0)
    mixed = (1 - share) * alike + share * mean[runner][:, runner]
    others = mixed[~np.eye(len(mixed), dtype=bool)]
    width = others.max(initial=0) - others.min(initial=0)
    mixed = (mixed - others.min(initial=0)) / (width if width > 0 else 1)
    np.fill_diagonal(mixed, 1)
    return mixed


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
        plain = system | {"rerank": None, "neighbours": None, "identity_share": None}
        alike = system_similarity(similarities, ~together, start_s, **plain)
        min_lap_s, recurrence_s = estimate_min_lap(alike, start_s, together, **laps)
    allowed = allowed_pairs(start_s, min_lap_s=min_lap_s) & ~together
    return {
        "similarity": system_similarity(similarities, allowed, start_s, **system),
        "allowed": allowed,
        "min_lap_s": np.array(min_lap_s, np.float64),
        "recurrence_s": np.array(recurrence_s, np.float64),
    }
