"""Who is who: grouping scenes so that each group is one runner."""

import numpy as np
import polars as pl

from runner_reid.ranking import with_neighbours

ORDINARY = 0.05
"""The share of pairs within a cluster that may be less alike than two scenes that are taken for one passage."""


def assign_identities(
    similarity: np.ndarray,
    allowed: np.ndarray,
    *,
    false_match_rate: float,
    min_known_pairs: int,
    threshold: float,
    neighbours: dict,
    max_exceptions: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Average-linkage clustering in which two scenes of a forbidden pair share a cluster only as a proven exception.

    similarity: (N, N) without NaN; allowed: (N, N) bool. Both are read symmetrically (mean; allowed both
    ways), their diagonals are not read. Scenes are in order of start. Returns runner (N,) int32, numbered from 0 in
    order of first scene, and confidence (N,) float32 in 0..1.

    neighbours: the choices of `ranking.with_neighbours`: how much common neighbours decide, beside the similarity.

    The two clusters with the largest mean over their pairs of scenes merge first, as long as it is
    at least the cut; of equal means the pair with the earliest first scene goes first, then that with the
    earliest second. The cut is the (1 - false_match_rate) quantile over forbidden pairs,
    which are different runners for certain; with fewer than min_known_pairs of them it is `threshold`.
    A larger false_match_rate or a smaller threshold merges more: fewer runners found twice, more mixed up.
    A larger min_known_pairs trusts the video less often and `threshold` more often.

    Then what the lap rule tore apart is mended: a passage broken in two or followed twice. Two clusters merge although
    up to max_exceptions of their pairs are forbidden (0: never) if the mean over the others reaches the cut, and if
    each forbidden pair is itself more alike than the cut, more alike by `similarity` than that quantile, and not less
    alike than ORDINARY of the pairs within the larger cluster. None of this reads a label.

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
    alike = with_neighbours(similarity, ~forbidden, **neighbours).copy()
    np.fill_diagonal(alike, 0)

    pairs = np.triu(forbidden, 1)
    calibrated = int(pairs.sum()) >= max(min_known_pairs, 1)
    cut = np.quantile(alike[pairs], 1 - false_match_rate) if calibrated else threshold
    first_scene = _merge(np.where(forbidden, -np.inf, alike), cut)
    if calibrated and max_exceptions:
        strange = np.quantile(similarity[pairs], 1 - false_match_rate)
        first_scene = _mend(first_scene, similarity, alike, forbidden, cut, strange, max_exceptions)
    runner = np.unique(first_scene, return_inverse=True)[1].reshape(n).astype(np.int32)
    return runner, _confidence(alike, forbidden, runner, cut)


def doubtful_scenes(identities: pl.DataFrame, allowed: np.ndarray) -> list[dict[str, int | str]]:
    """Which assignments to look at, and why: [{"scene": number, "why": reason}, ...] in order of scene.

    identities: table IDENTITIES, N rows. allowed: (N, N) bool. Reasons: `forbidden` (with another scene of this
    runner: a passage in two pieces, or a mistake), `alone` (never seen before or after), `torn` (another runner fits
    as well).
    """
    scene, runner, confidence = (identities[name].to_numpy() for name in ("scene", "runner", "confidence"))
    together = (runner[:, None] == runner[None, :]) & ~np.eye(len(runner), dtype=bool)
    reasons = {
        "forbidden": (together & ~(allowed & allowed.T)).any(axis=1),
        "alone": ~together.any(axis=1),
        "torn": confidence <= 0,
    }
    return [
        {"scene": int(number), "why": why}
        for row, number in enumerate(scene)
        if (why := next((name for name, rows in reasons.items() if rows[row]), ""))
    ]


def _mend(
    first_scene: np.ndarray,
    similarity: np.ndarray,
    alike: np.ndarray,
    forbidden: np.ndarray,
    cut: float,
    strange: float,
    max_exceptions: int,
) -> np.ndarray:
    """The clusters after exceptions, see assign_identities; those most alike merge first."""
    while True:
        names, member = np.unique(first_scene, return_inverse=True)
        belongs = np.eye(len(names))[member]
        exceptions = belongs.T @ forbidden @ belongs
        others = np.outer(belongs.sum(axis=0), belongs.sum(axis=0)) - exceptions
        total = belongs.T @ np.where(forbidden, 0, alike) @ belongs
        mean = np.divide(total, others, out=np.full_like(total, -np.inf), where=others > 0)
        possible = np.triu((exceptions > 0) & (exceptions <= max_exceptions) & (mean >= cut), 1)
        for kept, gone in sorted(zip(*np.nonzero(possible), strict=True), key=lambda pair: -mean[pair]):
            one, other = np.flatnonzero(member == kept), np.flatnonzero(member == gone)
            larger = one if len(one) >= len(other) else other
            torn = np.ix_(one, other)
            within = similarity[np.ix_(larger, larger)]
            within = within[np.triu(~forbidden[np.ix_(larger, larger)], 1)]
            if not within.size:
                continue
            least = max(strange, np.quantile(within, ORDINARY))
            if (alike[torn][forbidden[torn]] >= cut).all() and (similarity[torn][forbidden[torn]] >= least).all():
                first_scene = np.where(member == gone, names[kept], first_scene)
                break
        else:
            return first_scene


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
