"""How soon a runner can come by again, found from the video itself."""

import logging

import numpy as np

log = logging.getLogger(__name__)


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


def _likelihood(hits: np.ndarray, count: np.ndarray) -> np.ndarray:
    """The log-likelihood of hits among count at their own rate."""
    rate = np.divide(hits, count, out=np.zeros(len(hits)), where=count > 0)
    yes = np.where(hits > 0, hits * np.log(np.where(hits > 0, rate, 1)), 0)
    no = np.where(hits < count, (count - hits) * np.log(np.where(hits < count, 1 - rate, 1)), 0)
    return yes + no
