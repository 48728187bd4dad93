"""Weights that a video finds for itself, on made-up practices."""

import numpy as np
import pytest

from runner_reid.ranking import allowed_pairs
from runner_reid.similarity import compare, fuse
from runner_reid.weighting import found_weights


def practice(seed: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Twelve runners in two packs, nine laps: a good cue, a poor one whose likenesses are wild, and noise."""
    rng = np.random.default_rng(seed)
    start_s = (np.arange(9)[:, None] * 80 + np.repeat([0.0, 35.0], 6) + np.tile(np.arange(6) * 0.4, 2)).ravel()
    who = np.tile(np.arange(12), 9)

    def cue(noise: np.ndarray | float) -> np.ndarray:
        return compare(rng.normal(size=(12, 24))[who] + noise * rng.normal(size=(len(who), 24)), metric="cosine")

    similarities = {"good": cue(0.7), "poor": cue(rng.choice([0.3, 4.0], (len(who), 1))), "noise": cue(50.0)}
    return similarities, allowed_pairs(start_s, min_lap_s=60), start_s, who


@pytest.mark.parametrize("seed", range(3))
def test_what_tells_runners_apart_weighs_most(params, seed):
    similarities, allowed, start_s, who = practice(seed)
    weights = found_weights(similarities, allowed, start_s, identity=params["identity"])
    assert list(weights) == list(similarities) and sum(weights.values()) == pytest.approx(1)
    assert weights["good"] > weights["poor"] >= 0 and 0 <= weights["noise"] < 0.1

    def separation(values: np.ndarray) -> float:
        same = who[:, None] == who
        return (values[allowed & same].mean() - values[allowed & ~same].mean()) / values[allowed & ~same].std()

    assert separation(fuse(similarities, weights)) >= max(separation(value) for value in similarities.values()) - 0.1
    wide = similarities | {"poor": 100 * similarities["poor"]}
    again = found_weights(wide, allowed, start_s, identity=params["identity"])
    assert 100 * again["poor"] / again["good"] == pytest.approx(weights["poor"] / weights["good"], abs=0.05)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_weights_where_nothing_is_known(params, n):
    similarities = {"a": np.eye(n), "b": np.full((n, n), np.nan)}
    for allowed in (np.ones((n, n), bool), np.zeros((n, n), bool)):
        weights = found_weights(similarities, allowed, np.arange(n) * 1.0, identity=params["identity"])
        assert sum(weights.values()) == pytest.approx(1)
