"""How much each extractor counts, found in the video itself, without labels."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from runner_reid.identity import assign_identities, known_different
from runner_reid.similarity import fill_unknown, fuse, separating_weights

ROUNDS = 3
"""How often scenes are grouped and weights learned from the groups; more changes little."""


def found_weights(
    similarities: dict[str, np.ndarray], allowed: np.ndarray, start_s: np.ndarray, *, identity: dict
) -> dict[str, float]:
    """Weights for `similarity.fuse`: those that best tell pairs within found runners from pairs known to be different.

    similarities: per extractor (N, N), NaN where unknown. allowed: (N, N) bool. start_s: (N,) seconds, in order.
    identity: the choices of `identity.assign_identities`. Returns one weight per extractor, 0 or more, that sum to 1.

    The first weights are `similarity.separating_weights`. Under these, scenes are grouped; a logistic regression on the
    similarities of pairs within groups and of forbidden pairs gives the next (self-training, Scudder 1965). Groups owe
    much to laps, to neighbours and to what is forbidden, so they know more than the weights they were made with.
    An extractor whose weight would be negative is left out. Weights stay as they are once nobody is seen twice, or
    where no pair is known to be different.
    """
    weights = separating_weights(similarities, allowed)
    forbidden = np.triu(known_different(allowed), 1)
    values = {name: fill_unknown(similarity) for name, similarity in similarities.items()}
    for _ in range(ROUNDS):
        runner = assign_identities(fuse(similarities, weights), allowed, start_s, **identity).columns["runner"]
        same = np.triu((runner[:, None] == runner) & ~forbidden, 1)
        if not same.any() or not forbidden.any():
            break
        pairs = np.stack([np.append(value[same], value[forbidden]) for value in values.values()], axis=1)
        told = _telling(pairs.astype(np.float64), np.repeat([1, 0], [same.sum(), forbidden.sum()]))
        if not told.any():
            break
        weights = dict(zip(values, (told / told.sum()).tolist(), strict=True))
    return weights


def _telling(pairs: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Weights (E,), 0 or more, under which the sum of `pairs` (P, E) tells those with `same` 1 from those with 0."""
    spread = pairs.std(axis=0)
    weights, kept = np.zeros(pairs.shape[1]), np.flatnonzero(spread > 0)
    while kept.size:
        model = LogisticRegression(C=100.0, max_iter=500).fit(pairs[:, kept] / spread[kept], same)
        if model.coef_.min() >= 0:
            weights[kept] = model.coef_[0] / spread[kept]
            break
        kept = np.delete(kept, model.coef_[0].argmin())
    return weights
