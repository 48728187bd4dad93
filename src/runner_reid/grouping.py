"""Groups of scenes that may be one runner each: merging, moving single scenes, mending what was torn.

A group is called by its first scene: `first_scene` (N,) int says of each scene which one that is. alike: (N, N),
symmetric, 0 on the diagonal. forbidden: (N, N) bool, symmetric, False on the diagonal. Scenes are in order of start.
"""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import linear_sum_assignment

ORDINARY = 0.05
"""The share of pairs within a group that may be less alike than two scenes that are taken for one passage."""
NEVER = -1e6
"""The gain of what is forbidden: far below any sum of similarities."""


def link(first_scene: np.ndarray, alike: np.ndarray, forbidden: np.ndarray, *, cut: float) -> np.ndarray:
    """Constrained average linkage that begins with these groups, (N,) first scenes.

    The two groups with the largest mean over their pairs of scenes merge first, as long as it is at least the cut and
    no pair is forbidden; of equal means the pair with the earliest first scene goes first, then that with the earliest
    second. A smaller cut merges more.
    """
    names, member = np.unique(first_scene, return_inverse=True)
    if len(names) < 2:
        return first_scene
    total, barred = (_sums(_sums(pairs, first_scene).T, first_scene) for pairs in (alike, forbidden.astype(np.float64)))
    total[barred > 0] = -np.inf
    return names[_merge(total, np.bincount(member).astype(np.float64), cut)][member]


def group(alike: np.ndarray, forbidden: np.ndarray, *, cut: float) -> np.ndarray:
    """Average linkage (`link`), and then whatever moves and merges improve the whole; (N,) first scenes.

    What the whole is judged by is the sum of alike - cut over all pairs within groups (correlation clustering, Bansal
    et al. 2004). Of scenes that are all forbidden to each other, which is what passes within a lap, at most one can be
    in a group: they are taken out together and given back to groups in the best way there is (an assignment problem,
    Kuhn 1955), a new group for those that fit none. That and merging alternate until nothing improves: so one wrong
    scene no longer keeps two halves of a runner apart.
    """
    first_scene = link(np.arange(len(alike)), alike, forbidden, cut=cut)
    gain = alike - cut
    np.fill_diagonal(gain, 0)
    cliques = list(_cliques(forbidden))
    score = -np.inf
    while (found := float(gain[first_scene[:, None] == first_scene].sum())) > score + 1e-9:
        score, best = found, first_scene
        first_scene = link(_moved(best, gain, forbidden, cliques), alike, forbidden, cut=cut)
    return best


def mend(
    first_scene: np.ndarray,
    similarity: np.ndarray,
    alike: np.ndarray,
    forbidden: np.ndarray,
    *,
    cut: float,
    strange: float,
    max_exceptions: int,
) -> np.ndarray:
    """The groups after exceptions: passages broken in two, or followed twice. Those most alike merge first.

    Two groups merge although up to max_exceptions of their pairs are forbidden (0: never) if the mean over the others
    reaches the cut, and if each forbidden pair is itself more alike than the cut, more alike by `similarity` than
    `strange`, and not less alike than ORDINARY of the pairs within the larger group.
    """
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


def _cliques(forbidden: np.ndarray) -> Iterator[np.ndarray]:
    """Runs of scenes that are all forbidden to each other, each scene in one at least; none within an earlier one."""
    last = -1
    for first in range(len(forbidden)):
        clique = [first]
        for scene in range(first + 1, len(forbidden)):
            if forbidden[scene, clique].all():
                clique.append(scene)
            elif not forbidden[scene, first]:
                break
        if clique[-1] > last or len(clique) == 1:
            last = max(last, clique[-1])
            yield np.array(clique)


def _moved(first_scene: np.ndarray, gain: np.ndarray, forbidden: np.ndarray, cliques: list[np.ndarray]) -> np.ndarray:
    """The groups after each clique in turn was assigned anew; a clique stays unless that gains.

    `total` (N, N) is what each scene (column) gains by each group, `barred` how many of its scenes are forbidden.
    """
    label, size = first_scene.copy(), np.bincount(first_scene, minlength=len(first_scene))
    total, barred = np.zeros(gain.shape), np.zeros(gain.shape)
    names = np.unique(first_scene)
    for sums, pairs in ((total, gain), (barred, forbidden.astype(np.float64))):
        sums[names] = _sums(pairs, first_scene)
    for clique in cliques:
        own, among = label[clique], np.ix_(clique, clique)
        others = size - np.bincount(own, minlength=len(size))
        kept, spare = np.flatnonzero(others), np.flatnonzero(others == 0)[: len(clique)]
        inside = (own[:, None] == kept).astype(np.float64)
        to_group = total[np.ix_(kept, clique)].T - gain[among] @ inside
        to_group[barred[np.ix_(kept, clique)].T - forbidden[among] @ inside > 0.5] = NEVER
        choice = np.hstack([to_group, np.where(np.eye(len(clique), dtype=bool), 0, NEVER)])
        column = linear_sum_assignment(choice, maximize=True)[1]
        if choice[np.arange(len(clique)), column].sum() <= (to_group * inside).sum() + 1e-9:
            continue
        for scene, old, new in zip(clique, own, np.append(kept, spare)[column], strict=True):
            if old != new:
                for sums, pairs in ((total, gain), (barred, forbidden)):
                    sums[old] -= pairs[scene]
                    sums[new] += pairs[scene]
                size[[old, new]] += [-1, 1]
                label[scene] = new
    _, first, member = np.unique(label, return_index=True, return_inverse=True)
    return first[member]


def _sums(pairs: np.ndarray, first_scene: np.ndarray) -> np.ndarray:
    """The sum of the rows of each group, in order of their first scenes, (G, N)."""
    order = np.argsort(first_scene, kind="stable")
    return np.add.reduceat(pairs[order], np.unique(first_scene[order], return_index=True)[1], axis=0)


def _merge(total: np.ndarray, size: np.ndarray, cut: float) -> np.ndarray:
    """The first group of each group's new one, (G,).

    total: (G, G) sums of similarity over the pairs of two groups, -inf where forbidden. size: (G,) scenes. (Lance-
    Williams for the mean, kept as a sum: sums of float32 values are exact in float64, so equal means stay equal.)
    A new group lives in the row of its first. `partner` and `best` keep, per row, its most similar group.
    """
    first = np.arange(len(total))
    mean = total / np.outer(size, size)
    np.fill_diagonal(mean, -np.inf)
    partner, best = mean.argmax(axis=1), mean.max(axis=1)
    while True:
        kept = int(best.argmax())
        gone = int(partner[kept])
        if not best[kept] >= cut or best[kept] == -np.inf:
            return first
        total[kept] += total[gone]
        total[:, kept] = total[kept]
        size[kept] += size[gone]
        first[first == gone] = kept

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
