"""How soon a runner can come by again, found from the video itself."""

import logging
from collections.abc import Iterable, Sequence

import numpy as np

log = logging.getLogger(__name__)

LAG_S = (0.5, 1.0, 2.0)
"""How far two lags may differ and still be one: packs keep together for many laps, but runners change places."""
NEAR_S = 4.0
"""Scenes that start within this of each other may be a pack."""
STRENGTHS = (3.0, 10.0, 30.0, 100.0, np.inf)
"""How many pairs a rate that is expected weighs, against those counted."""


def estimate_min_lap(
    similarity: np.ndarray,
    start_s: np.ndarray,
    together: np.ndarray,
    *,
    false_match_rate: float,
    min_known_pairs: int,
    safety: float,
    min_evidence: float,
) -> tuple[float, float]:
    """The lap rule's min_lap_s, where nobody states it: just below the gap from which scenes recur.

    similarity: (N, N) without NaN. start_s: (N,) seconds. together: (N, N) bool, pairs seen at the same moment
    (`ranking.seen_together`), which are different runners without any lap rule. Returns min_lap_s and the recurrence
    gap it is below, in seconds; 0 and NaN if nothing shows.

    Two scenes match if they are more alike than the (1 - false_match_rate) quantile of pairs seen together. Up to the
    fastest lap only mistakes match, and fragments of one passage; from there on runners do. The recurrence gap is that
    at which the rate of matches changes from low to high with the largest likelihood (two binomial rates, over all
    pairs by the gap between their starts). The estimate is `safety` (a share) less than it: larger is more careful.
    Without min_known_pairs pairs seen together, or with less than min_evidence (log-likelihood gained by the change;
    larger asks for more), the answer is 0: no lap rule.
    """
    pairs = np.triu_indices(len(similarity), 1)
    alike = ((similarity + similarity.T) / 2)[pairs]
    seen, gap_s = together[pairs], np.abs(start_s[:, None] - start_s[None, :])[pairs]
    if seen.sum() < max(min_known_pairs, 1) or seen.all():
        log.info("min_lap_s: %d pairs are seen together, expected %d; no lap rule", seen.sum(), min_known_pairs)
        return 0.0, float("nan")
    match = alike > np.quantile(alike[seen], 1 - false_match_rate)
    order = np.argsort(gap_s[~seen], kind="stable")
    gap_s, hits = gap_s[~seen][order], match[~seen][order].cumsum()
    count = np.arange(1, len(gap_s) + 1)
    before, after = (hits, count), (hits[-1] - hits, count[-1] - count)
    gain = _likelihood(*before) + _likelihood(*after) - _likelihood(hits[-1:], count[-1:])
    lower = hits * after[1] < after[0] * count
    split = int(np.where(lower, gain, -np.inf).argmax())
    if not lower[split] or gain[split] < min_evidence:
        log.info("min_lap_s: matches do not become more with the gap; no lap rule")
        return 0.0, float("nan")
    recurrence_s = float(gap_s[split])
    log.info("min_lap_s: scenes recur from %.1f s on, taken %.1f s", recurrence_s, (1 - safety) * recurrence_s)
    return (1 - safety) * recurrence_s, recurrence_s


def recurrence(
    similarity: np.ndarray, start_s: np.ndarray, forbidden: np.ndarray, *, false_match_rate: float
) -> np.ndarray:
    """What the rhythm of a practice says of each pair of scenes: how much likelier than others it is one runner.

    similarity: (N, N) without NaN, symmetric. start_s: (N,) seconds, in order. forbidden: (N, N) bool, pairs known to
    be different, some. Returns (N, N), symmetric: the logarithm of the rate of matches among pairs like this one over
    that of all pairs, 0 where forbidden. Two scenes match if they are more alike than the (1 - false_match_rate)
    quantile of forbidden pairs.

    Who runs regularly, or in a pack, comes back after the same time as others did: pairs like this one have the same
    lag between their starts, first over the whole session, then among those of which both scenes are near both of
    these (the same pack, a lap or more later). The pair itself, and what shares a scene with it among those near, does
    not count. Each rate leans on the more general one, and that on the overall rate; how much, and how exact lags are,
    is what foretells best whether a pair matches that is left out. Where nobody keeps time, all is about 0.
    """
    first, second = np.nonzero(np.triu(~forbidden, 1))
    log_ratio = np.zeros(similarity.shape)
    if not len(first) or not forbidden.any():
        return log_ratio
    match = np.triu((similarity > np.quantile(similarity[forbidden], 1 - false_match_rate)) & ~forbidden, 1)
    hit = match[first, second].astype(np.float64)
    overall = np.full(len(hit), np.clip(hit.mean(), 1e-4, 1 - 1e-4))
    lag_s = start_s[second] - start_s[first]
    by_lag = _foretelling(hit, overall, (_same_lag(hit, lag_s, width_s) for width_s in LAG_S))
    possible = np.triu(~forbidden, 1)
    near = ([_near(pairs, start_s, width_s)[first, second] for pairs in (match, possible)] for width_s in LAG_S)
    rate = _foretelling(hit, by_lag, near)
    log_ratio[first, second] = log_ratio[second, first] = np.log(rate / overall)
    return log_ratio


def _foretelling(hit: np.ndarray, expected: np.ndarray, counted: Iterable[Sequence[np.ndarray]]) -> np.ndarray:
    """Of the rates that (hits, count) give, at any of STRENGTHS, those under which `hit` is likeliest; (P,)."""
    rates = [
        np.clip((hits / strength + expected) / (count / strength + 1), 1e-4, 0.999)
        for hits, count in counted
        for strength in STRENGTHS
    ]
    return max(rates, key=lambda rate: float((hit * np.log(rate) + (1 - hit) * np.log(1 - rate)).sum()))


def _same_lag(hit: np.ndarray, lag_s: np.ndarray, width_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Per pair the hits and the number of other pairs whose lag differs by width_s or less."""
    order = np.argsort(lag_s, kind="stable")
    total = np.append(0, hit[order].cumsum())
    low = np.searchsorted(lag_s[order], lag_s - width_s, side="left")
    high = np.searchsorted(lag_s[order], lag_s + width_s, side="right")
    return total[high] - total[low] - hit, high - low - 1.0


def _near(pairs: np.ndarray, start_s: np.ndarray, width_s: float) -> np.ndarray:
    """Per pair of scenes, how many of `pairs` (N, N) of other scenes near them have about the same lag; (N, N)."""
    count = np.zeros(pairs.shape)
    total = np.pad(pairs.cumsum(axis=1, dtype=np.float64), ((0, 0), (1, 0)))
    for scene, moment_s in enumerate(start_s):
        for other in np.flatnonzero(np.abs(start_s - moment_s) <= NEAR_S):
            if other != scene:
                shift_s = start_s[other] - moment_s
                low = np.searchsorted(start_s, start_s + shift_s - width_s, side="left")
                high = np.searchsorted(start_s, start_s + shift_s + width_s, side="right")
                count[scene] += total[other, high] - total[other, low]
                if abs(shift_s) <= width_s:
                    count[scene] -= pairs[other]
    return count


def _likelihood(hits: np.ndarray, count: np.ndarray) -> np.ndarray:
    """The log-likelihood of hits among count at their own rate."""
    rate = np.divide(hits, count, out=np.zeros(len(hits)), where=count > 0)
    yes = np.where(hits > 0, hits * np.log(np.where(hits > 0, rate, 1)), 0)
    no = np.where(hits < count, (count - hits) * np.log(np.where(hits < count, 1 - rate, 1)), 0)
    return yes + no
