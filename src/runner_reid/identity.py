"""Who is who: grouping scenes so that each group is one runner, and how sure that is."""

from typing import NamedTuple

import numpy as np

from runner_reid.grouping import group, mend
from runner_reid.laps import recurrence
from runner_reid.neighbours import with_neighbours
from runner_reid.similarity import upper_spread

TAIL = 0.1
"""The share of strangers from which on their likeness is taken to fall off exponentially."""


class Identities(NamedTuple):
    """What is found: the columns of table IDENTITIES but for scene, and how alike scenes are in the end, (N, N)."""

    columns: dict[str, np.ndarray]
    alike: np.ndarray


def assign_identities(
    similarity: np.ndarray,
    allowed: np.ndarray,
    start_s: np.ndarray,
    *,
    false_match_rate: float,
    min_known_pairs: int,
    threshold: float,
    lap_weight: float,
    neighbours: dict,
    max_exceptions: int,
) -> Identities:
    """Who each scene is, how sure that is, and why it is doubtful. None of this reads a label.

    similarity: (N, N) without NaN; allowed: (N, N) bool. Both are read symmetrically (mean; allowed both
    ways), their diagonals are not read. start_s: (N,) seconds, in order.

    First the rhythm of laps is added to similarity: lap_weight times `laps.recurrence`, in units of the spread of
    known-different pairs above their median; larger trusts laps more, 0 not at all. Then common neighbours are
    (neighbours: the choices of `neighbours.with_neighbours`). Then `grouping.group` makes groups, and
    `grouping.mend` joins passages broken in two or followed twice, with up to max_exceptions forbidden pairs.
    Runners are numbered from 0 in order of first scene.

    The cut is the (1 - false_match_rate) quantile over forbidden pairs, which are different runners for certain; with
    fewer than min_known_pairs of them it is `threshold`, laps say nothing, and nothing is mended. A larger
    false_match_rate or a smaller threshold merges more: fewer runners found twice, more mixed up. A larger
    min_known_pairs trusts the video less often and `threshold` more often.

    stranger: the chance that somebody never seen before is as alike to one of the runners a scene may be as this scene
    is to its own (for a scene alone: to the next best): 1 - (1 - chance with one) ** runners, 1 where it may be nobody
    else. A scene and a runner one of whose scenes is forbidden to it are strangers; how alike these are, by looks and
    laps and on average over as many of the runner's scenes, is the distribution of chance. Beyond its upper TAIL the
    excess is taken as exponential (peaks over threshold, Pickands 1975). With fewer than min_known_pairs such
    likenesses it is those to all other runners.
    confidence: 1 - stranger, or `stranger` for a scene alone, whose answer is "nobody seen before".
    doubt: `forbidden` (with another scene of this runner: a passage in two pieces, or a mistake), `torn` (another
    runner fits as well), `stranger` (its chance is above false_match_rate: it may be nobody seen before), `apart`
    (alone, although its chance is not above that), or empty.
    """
    similarity = np.asarray(similarity, np.float64)
    similarity = (similarity + similarity.T) / 2
    np.fill_diagonal(similarity, 0)
    forbidden = known_different(allowed)
    looks, pairs = similarity, np.triu(forbidden, 1)
    calibrated = int(pairs.sum()) >= max(min_known_pairs, 1)
    if calibrated and lap_weight:
        laps = recurrence(similarity, start_s, forbidden, false_match_rate=false_match_rate)
        similarity = similarity + lap_weight * upper_spread(similarity[pairs]) * laps
        similarity -= max(0.0, similarity.max(initial=0) - 1)
        np.fill_diagonal(similarity, 0)
    alike = with_neighbours(similarity, ~forbidden, **neighbours).copy()
    np.fill_diagonal(alike, 0)

    cut = np.quantile(alike[pairs], 1 - false_match_rate) if calibrated else threshold
    first_scene = group(alike, forbidden, cut=cut)
    if calibrated and max_exceptions:
        strange = np.quantile(looks[pairs], 1 - false_match_rate)
        exceptions = {"cut": cut, "strange": strange, "max_exceptions": max_exceptions}
        first_scene = mend(first_scene, looks, alike, forbidden, **exceptions)
    runner = np.unique(first_scene, return_inverse=True)[1].reshape(len(alike)).astype(np.int32)

    own, others, possible, _ = _fits(alike, forbidden, runner)
    alone = np.isnan(own)
    stranger = _stranger(similarity, forbidden, runner, min_known_pairs)
    reasons = {
        "forbidden": ((runner[:, None] == runner) & forbidden).any(axis=1),
        "torn": ~alone & (np.where(possible, others, -np.inf).max(axis=1, initial=-np.inf) >= own),
        "stranger": ~alone & (stranger > false_match_rate),
        "apart": alone & (stranger <= false_match_rate),
    }
    columns = {
        "runner": runner,
        "confidence": np.where(alone, stranger, 1 - stranger).astype(np.float32),
        "stranger": stranger.astype(np.float32),
        "doubt": np.select(list(reasons.values()), list(reasons), default=""),
    }
    return Identities(columns, alike)


def known_different(allowed: np.ndarray) -> np.ndarray:
    """Pairs of scenes that are not one runner, (N, N) bool: those not allowed both ways, but for the diagonal."""
    return ~(allowed & allowed.T) & ~np.eye(len(allowed), dtype=bool)


def _fits(
    alike: np.ndarray, forbidden: np.ndarray, runner: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """How alike each scene is, on average, to the others of its runner, (N,), NaN for a scene alone.

    Then to all runners, (N, R), which of these it may be, and which it certainly is not; its own is neither.
    """
    belongs = np.eye(runner.max(initial=-1) + 1)[runner]
    size, total = belongs.sum(axis=0), alike @ belongs
    certain = (forbidden.astype(np.float64) @ belongs > 0) & (belongs == 0)
    rest = size[runner] - 1
    own = np.divide(total[belongs > 0], rest, out=np.full(len(runner), np.nan), where=rest > 0)
    return own, total / size, ~certain & (belongs == 0), certain


def _stranger(similarity: np.ndarray, forbidden: np.ndarray, runner: np.ndarray, min_known_pairs: int) -> np.ndarray:
    """See assign_identities; (N,). A mean over k scenes is compared with those over the first k of strangers."""
    own, mean, possible, certain = _fits(similarity, forbidden, runner)
    size, alone, scene = np.bincount(runner), np.isnan(own), np.arange(len(runner))
    next_best = np.where(possible, mean, -np.inf)
    other = next_best.argmax(axis=1) if len(runner) else runner
    value = np.where(alone, next_best[scene, other], own)
    compared = np.where(alone, size[other], size[runner] - 1)
    chance = np.ones(len(runner))
    place = np.array([(runner[:row] == number).sum() for row, number in enumerate(runner)], np.int64)
    for count in np.unique(compared):
        first = place < count
        likeness = similarity[:, first] @ np.eye(len(size))[runner[first]] / count
        strangers = likeness[certain & (size >= count)]
        if strangers.size < max(min_known_pairs, 1):
            strangers = mean[certain | possible]
        chance[compared == count] = _tail(strangers, value[compared == count])
    return 1 - (1 - chance) ** np.maximum(possible.sum(axis=1) + ~alone, 1)


def _tail(strangers: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The chance that a stranger is as alike as each of `values`; 0 without strangers, 1 for -inf."""
    if not strangers.size:
        return np.where(np.isneginf(values), 1.0, 0.0)
    start = np.quantile(strangers, 1 - TAIL)
    excess = (strangers[strangers > start] - start).mean() if (strangers > start).any() else 0.0
    rank = np.searchsorted(np.sort(strangers), values, side="left")
    counted = (len(strangers) - rank + 1) / (len(strangers) + 1)
    beyond = np.maximum(values - start, 0)
    fitted = np.exp(-np.divide(beyond, excess, out=np.full(len(values), np.inf), where=excess > 0))
    return np.where(values > start, TAIL * fitted, counted)
