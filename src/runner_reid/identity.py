"""Who is who: grouping scenes so that each group is one runner."""

import numpy as np


def seen_together(start_s: np.ndarray, end_s: np.ndarray) -> np.ndarray:
    """Which pairs of scenes share a moment, and so are two different human beings.

    start_s, end_s: (N,) seconds, times of the first and last frame, both included.
    Returns (N, N) bool, symmetric, False on the diagonal.

    >>> seen_together(np.array([0.0, 2.0, 5.0]), np.array([2.0, 4.0, 6.0])).tolist()
    [[False, True, False], [True, False, False], [False, False, False]]
    """
    together = (start_s[:, None] <= end_s[None, :]) & (start_s[None, :] <= end_s[:, None])
    return together & ~np.eye(len(start_s), dtype=bool)


def assign_identities(
    similarity: np.ndarray,
    allowed: np.ndarray,
    *,
    false_match_rate: float,
    min_known_pairs: int,
    threshold: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Average-linkage clustering in which two scenes of a forbidden pair never share a cluster.

    similarity: (N, N) without NaN; allowed: (N, N) bool. Both are read symmetrically (mean; allowed both
    ways), their diagonals are not read. Returns runner (N,) int32, numbered from 0 in order of first scene,
    and confidence (N,) float32 in 0..1.

    The two clusters with the largest mean similarity over their pairs of scenes merge first, as long as it is
    at least the cut; of equal means the pair with the earliest first scene goes first, then that with the
    earliest second. The cut is the (1 - false_match_rate) quantile of the similarities of forbidden pairs,
    which are different runners for certain; with fewer than min_known_pairs of them it is `threshold`.
    A larger false_match_rate or a smaller threshold merges more: fewer runners found twice, more mixed up.
    A larger min_known_pairs trusts the video less often and `threshold` more often.

    Confidence is the silhouette (Rousseeuw 1987) on distance = 1 - similarity, clipped at 0:
    (own - other) / (1 - min(own, other)), own = mean similarity to the other scenes of its cluster,
    other = the largest mean similarity to a cluster with no scene forbidden to it.
    For a scene alone in its cluster own is the cut. It is 1 where there is no such other cluster.
    (Where similarities exceed 1, their largest takes the place of 1.)
    """
    n = len(similarity)
    similarity = np.asarray(similarity, np.float64)
    similarity = (similarity + similarity.T) / 2
    forbidden = ~(allowed & allowed.T)
    np.fill_diagonal(forbidden, False)
    np.fill_diagonal(similarity, 0)

    known = similarity[np.triu(forbidden, 1)]
    cut = np.quantile(known, 1 - false_match_rate) if known.size >= max(min_known_pairs, 1) else threshold
    first_scene = _merge(np.where(forbidden, -np.inf, similarity), cut)
    runner = np.unique(first_scene, return_inverse=True)[1].reshape(n).astype(np.int32)
    return runner, _confidence(similarity, forbidden, runner, cut)


def _merge(total: np.ndarray, cut: float) -> np.ndarray:
    """The first scene of each scene's cluster, (N,).

    total: (N, N) similarity, -inf where forbidden. It becomes the sum over the pairs of two clusters
    (Lance-Williams for the mean, kept as a sum: sums of float32 values are exact in float64, so equal means
    stay equal). A cluster lives in the row of its first scene. `partner` and `best` keep, per row, its most
    similar cluster.
    """
    n = len(total)
    first_scene = np.arange(n)
    if n < 2:
        return first_scene
    size = np.ones(n)
    mean = total.copy()
    np.fill_diagonal(mean, -np.inf)
    partner, best = mean.argmax(axis=1), mean.max(axis=1)
    while True:
        kept = int(best.argmax())
        gone = int(partner[kept])
        if not best[kept] >= cut or best[kept] == -np.inf:
            return first_scene
        total[kept] += total[gone]
        total[:, kept] = total[kept]
        size[kept] += size[gone]
        first_scene[first_scene == gone] = kept

        merged = total[kept] / (size[kept] * size)
        merged[mean[kept] == -np.inf] = -np.inf
        merged[mean[gone] == -np.inf] = -np.inf
        mean[gone] = mean[:, gone] = -np.inf
        mean[kept] = mean[:, kept] = merged
        best[gone] = -np.inf

        nearer = (merged > best) | ((merged == best) & (kept < partner))
        partner[nearer], best[nearer] = kept, merged[nearer]
        stale = np.flatnonzero((best > -np.inf) & ((partner == kept) | (partner == gone)) & ~nearer)
        stale = np.append(stale, kept)
        partner[stale], best[stale] = mean[stale].argmax(axis=1), mean[stale].max(axis=1)


def _confidence(similarity: np.ndarray, forbidden: np.ndarray, runner: np.ndarray, cut: float) -> np.ndarray:
    n = len(runner)
    member = np.eye(runner.max(initial=-1) + 1)[runner]
    size = member.sum(axis=0)
    total = similarity @ member
    mean = total / np.maximum(size, 1)
    mean[(forbidden.astype(np.float32) @ member) > 0] = -np.inf
    mean[member > 0] = -np.inf
    other = mean.max(axis=1, initial=-np.inf)

    scenes = np.arange(n)
    others = size[runner] - 1
    own = np.where(others > 0, total[scenes, runner] / np.maximum(others, 1), cut)
    top = max(1.0, similarity.max(initial=1.0))
    width = top - np.minimum(own, other)
    rival = (other > -np.inf) & (width > 0)
    silhouette = np.divide(own - other, width, out=np.zeros(n), where=rival)
    return np.where(other > -np.inf, np.clip(silhouette, 0, 1), 1).astype(np.float32)
