"""Which pairs of scenes may be the same runner."""

import numpy as np
import pytest

from runner_reid.neighbours import most_laps, with_neighbours
from runner_reid.ranking import allowed_pairs, rank_scenes, system_similarity, with_identities
from runner_reid.reranking import rerank
from runner_reid.similarity import compare


@pytest.mark.parametrize(
    ("start_s", "min_lap_s", "expected"),
    [
        pytest.param([], 60, np.zeros((0, 0)), id="empty"),
        pytest.param([5.0], 60, [[0]], id="one scene"),
        pytest.param([0.0, 60.0], 60, [[0, 0], [0, 0]], id="exactly a lap is forbidden"),
        pytest.param([46 / 60, 3646 / 60], 60, [[0, 0], [0, 0]], id="exactly a lap of frames"),
        pytest.param([0.0, 60.1], 60, [[0, 1], [1, 0]], id="more than a lap"),
        pytest.param([60.1, 0.0], 60, [[0, 1], [1, 0]], id="any order"),
        pytest.param([0.0, 0.0, 1.0], 0, [[0, 0, 1], [0, 0, 1], [1, 1, 0]], id="no lap known"),
    ],
)
def test_allowed_pairs(start_s, min_lap_s, expected):
    allowed = allowed_pairs(np.array(start_s), min_lap_s=min_lap_s)
    assert allowed.dtype == bool
    np.testing.assert_array_equal(allowed, np.array(expected, bool))


PLAIN = {"rerank": None, "neighbours": None, "identity_share": None, "identity": {}}


def test_system_similarity(params):
    rng = np.random.default_rng(0)
    runners = np.tile(rng.normal(size=(6, 4)), (3, 1))
    body, shoe = (np.corrcoef(runners + 0.1 * rng.normal(size=(18, 4))) for _ in range(2))
    allowed = allowed_pairs(np.arange(18) * 20.0, min_lap_s=60)
    given = {"body": body, "shoe": shoe, "other": np.full((18, 18), np.nan)}
    start_s, choices = np.arange(18) * 20.0, PLAIN | {"weights": {"body": 0.75, "shoe": 0.25}}
    plain = system_similarity(given, allowed, start_s, **choices)
    np.testing.assert_allclose(plain, 0.75 * body + 0.25 * shoe)
    rerank_by = {"form": "soft", "k1": 3, "k2": 2, "jaccard_share": 0.7}
    again = system_similarity(given, allowed, start_s, **choices | {"rerank": rerank_by})
    np.testing.assert_allclose(again, 1 - rerank(np.maximum(1 - plain, 0), allowed, **rerank_by))
    asks = PLAIN | {"weights": ["body", "other"], "identity": params["identity"]}
    found = system_similarity(given, allowed, start_s, **asks)
    np.testing.assert_allclose(found, body, err_msg="what knows nothing weighs nothing")
    shared = system_similarity(given, allowed, start_s, **asks | {"weights": {"body": 1.0}, "identity_share": 0.8})
    expected = with_identities(body, allowed, start_s, share=0.8, identity=params["identity"])
    np.testing.assert_array_equal(shared, expected)


def test_with_identities(params):
    """Whoever is assigned to one runner is alike; a scene that shows little follows those it was assigned to."""
    who, start_s = np.arange(60) % 6, np.arange(60) * 20.0
    rng = np.random.default_rng(1)
    feature = rng.normal(size=(6, 8))[who] + 0.3 * rng.normal(size=(60, 8))
    feature[31] = 0.6 * feature[31] + 0.5 * feature[32]
    similarity, allowed = np.corrcoef(feature), allowed_pairs(start_s, min_lap_s=100)
    found = with_identities(similarity, allowed, start_s, share=0.8, identity=params["identity"])
    np.testing.assert_allclose(found, found.T, atol=1e-12)
    assert found.min() == 0 and found.max() == 1
    same = (who[:, None] == who) & allowed

    def gap(matrix: np.ndarray) -> float:
        return (matrix[31][same[31]].min() - matrix[31][allowed[31] & (who != who[31])].max()) / matrix[allowed].std()

    assert gap(found) > max(gap(similarity), 0)
    for n in (0, 1):
        assert with_identities(
            np.ones((n, n)), np.zeros((n, n), bool), start_s[:n], share=0.8, identity=params["identity"]
        ).shape == (n, n)


@pytest.mark.parametrize(
    ("start_s", "expected"),
    [([], 0), ([3.0], 1), ([0.0, 10.0, 20.0], 1), ([0.0, 61.0, 100.0, 122.1, 183.2], 4)],
)
def test_most_laps(start_s, expected):
    assert most_laps(allowed_pairs(np.array(start_s), min_lap_s=60)) == expected


def test_with_neighbours():
    """Two runners pass in turn, as alike to each other as to themselves, but for whom they are like besides."""
    rng = np.random.default_rng(3)
    feature = np.tile(rng.normal(size=(5, 8)), (6, 1)) + 0.9 * rng.normal(size=(30, 8))
    similarity, same = np.corrcoef(feature), np.arange(30)[:, None] % 5 == np.arange(30) % 5
    allowed = allowed_pairs(np.arange(30) * 20.0, min_lap_s=60)
    found = with_neighbours(similarity, allowed, jaccard_share=0.5, rounds=1)
    np.testing.assert_allclose(found, found.T)
    plain = (similarity[allowed & same].mean() - similarity[allowed & ~same].mean()) / similarity[allowed].std()
    assert (found[allowed & same].mean() - found[allowed & ~same].mean()) / found[allowed].std() > plain
    none = with_neighbours(similarity, allowed, jaccard_share=0.5, rounds=0)
    np.testing.assert_array_equal(none, similarity)
    twice = with_neighbours(similarity, allowed, jaccard_share=0.5, rounds=2)
    np.testing.assert_allclose(twice, with_neighbours(found, allowed, jaccard_share=0.5, rounds=1))
    given = {"body": similarity}
    again = system_similarity(
        given,
        allowed,
        np.arange(30) * 20.0,
        **PLAIN | {"weights": {"body": 1.0}, "neighbours": {"jaccard_share": 0.5, "rounds": 1}},
    )
    np.testing.assert_allclose(again, found)


def test_features_that_say_nothing_are_ranked_all_the_same(params):
    """Rows of NaN (no clear shoe) and of zeros, one runner with one scene, through re-ranking and neighbours."""
    rng = np.random.default_rng(0)
    feature = np.vstack([np.tile(rng.normal(size=(4, 8)), (4, 1)), rng.normal(size=(1, 8)), np.zeros((1, 8))])
    feature[3] = np.nan
    similarity = compare(feature, metric="cosine")
    start_s = np.arange(18) * 20.0
    for entry in params["systems"].values():
        system = PLAIN | entry | {"weights": {"body": 1.0}, "identity": params["identity"]}
        ranking = rank_scenes(
            {"body": similarity}, start_s, start_s + 2, min_lap_s=60, laps=params["laps"], system=system
        )
        assert np.isfinite(ranking["similarity"]).all()
