"""The lap rule from the video itself, on made-up practices whose laps are known."""

import numpy as np
import pytest

from runner_reid.laps import LAG_S, NEAR_S, _near, _same_lag, estimate_min_lap, recurrence
from runner_reid.ranking import allowed_pairs, rank_scenes, seen_together
from runner_reid.similarity import compare


def practice(seed, *, noise=0.8, lap_s=75.0, runners=20, laps=9, fragments=0.02):
    rng = np.random.default_rng(seed)
    looks = rng.normal(size=(runners, 48))
    rows = []
    for pack in np.array_split(np.arange(runners), 3):
        moment = rng.uniform(0, lap_s)
        for _ in range(laps):
            for place, runner in enumerate(pack):
                start_s = moment + 0.3 * place
                rows.append((start_s, start_s + 2, runner))
                if rng.random() < fragments:
                    rows.append((start_s + 2.2, start_s + 3, runner))
            moment += lap_s * rng.uniform(1, 1.15)
    rows.sort()
    start_s, end_s, who = (np.array(column) for column in zip(*rows, strict=True))
    similarity = compare(looks[who] + noise * rng.normal(size=(len(who), 48)), metric="cosine")
    return similarity, start_s, end_s, who


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lap_s", [35.0, 75.0, 240.0])
def test_it_stays_below_the_fastest_lap_and_survives_fragments(params, seed, lap_s):
    similarity, start_s, end_s, who = practice(seed, lap_s=lap_s)
    gaps = np.concatenate([np.diff(start_s[who == runner]) for runner in range(20)])
    fastest_s = gaps[gaps > 5].min()
    assert (gaps < 5).any(), "there are fragments"
    min_lap_s, recurrence_s = estimate_min_lap(similarity, start_s, seen_together(start_s, end_s), **params["laps"])
    assert 0.5 * fastest_s < min_lap_s < fastest_s
    assert min_lap_s == pytest.approx(0.9 * recurrence_s)


@pytest.mark.parametrize(
    ("similarity", "together"),
    [
        pytest.param(np.zeros((0, 0)), np.zeros((0, 0), bool), id="empty"),
        pytest.param(np.ones((1, 1)), np.zeros((1, 1), bool), id="one scene"),
        pytest.param(np.zeros((90, 90)), np.zeros((90, 90), bool), id="nobody together"),
        pytest.param(np.zeros((90, 90)), ~np.eye(90, dtype=bool), id="all together"),
        pytest.param(np.zeros((90, 90)), np.abs(np.subtract.outer(range(90), range(90))) == 1, id="all the same"),
        pytest.param(
            np.random.default_rng(0).random((90, 90)),
            np.abs(np.subtract.outer(range(90), range(90))) == 1,
            id="noise",
        ),
    ],
)
def test_where_nothing_shows_there_is_no_rule(params, similarity, together):
    min_lap_s, recurrence_s = estimate_min_lap(similarity, np.arange(len(similarity)) * 9.0, together, **params["laps"])
    assert min_lap_s == 0 and np.isnan(recurrence_s)


def test_the_sheet_wins_over_the_estimate(params):
    similarity, start_s, end_s, _ = practice(0)
    system = {"weights": {"body": 1.0}, "rerank": None, "neighbours": None, "identity_share": None, "identity": {}}
    given = rank_scenes({"body": similarity}, start_s, end_s, min_lap_s=60, laps=params["laps"], system=system)
    found = rank_scenes({"body": similarity}, start_s, end_s, min_lap_s=None, laps=params["laps"], system=system)
    assert float(given["min_lap_s"]) == 60 and np.isnan(given["recurrence_s"])
    assert 37 < float(found["min_lap_s"]) < 75 < float(found["recurrence_s"]) / 0.9
    near = np.abs(start_s[:, None] - start_s) <= float(found["min_lap_s"])
    assert not (found["allowed"] & (near | seen_together(start_s, end_s))).any()


@pytest.mark.parametrize("width_s", LAG_S)
def test_pairs_like_one_another_are_counted(width_s):
    """Against a plain count over all pairs of pairs."""
    rng = np.random.default_rng(7)
    start_s = np.sort(rng.uniform(0, 40, 18))
    pairs = np.triu(rng.random((18, 18)) < 0.6, 1)
    first, second = np.nonzero(pairs)
    lag_s, hit = start_s[second] - start_s[first], rng.integers(0, 2, len(first)).astype(np.float64)
    same = (np.abs(lag_s[:, None] - lag_s) <= width_s) & ~np.eye(len(lag_s), dtype=bool)
    for found, expected in zip(_same_lag(hit, lag_s, width_s), (same @ hit, same.sum(axis=1)), strict=True):
        np.testing.assert_allclose(found, expected)
    near = same & (np.abs(start_s[first][:, None] - start_s[first]) <= NEAR_S)
    near &= (first[:, None] != first) & (second[:, None] != second)
    np.testing.assert_allclose(_near(pairs, start_s, width_s)[first, second], near.sum(axis=1))


@pytest.mark.parametrize("regular", [True, False])
def test_the_rhythm_of_a_practice_shows_in_pairs(regular):
    """Packs that come back after the same time, or everybody at random: then nothing is said."""
    similarity, start_s, _, who = practice(1, noise=1.2, fragments=0)
    if not regular:
        start_s = np.sort(np.random.default_rng(1).uniform(0, 700, len(who)))
        anyone = np.random.default_rng(2).permutation(len(who))
        similarity, who = similarity[np.ix_(anyone, anyone)], who[anyone]
    forbidden = ~allowed_pairs(start_s, min_lap_s=60) & ~np.eye(len(who), dtype=bool)
    said = recurrence(similarity, start_s, forbidden, false_match_rate=0.03)
    np.testing.assert_array_equal(said, said.T)
    assert not said[forbidden].any()
    same = (who[:, None] == who) & ~forbidden & ~np.eye(len(who), dtype=bool)
    gap = said[same].mean() - said[~same & ~forbidden].mean()
    assert gap > 1.0 if regular else abs(gap) < 0.1


def test_laps_of_nobody_say_nothing():
    for n in (0, 1, 5):
        for forbidden in (np.zeros((n, n), bool), ~np.eye(n, dtype=bool)):
            assert not recurrence(np.ones((n, n)), np.arange(n) * 9.0, forbidden, false_match_rate=0.03).any()


@pytest.mark.shared
@pytest.mark.parametrize(
    ("feature", "metric"), [("hhclp", "cosine"), ("hhcls", "cosine"), ("gru", "cosine"), ("hist", "correlation")]
)
def test_the_published_night(params, shared, feature, metric):
    """Its fastest lap takes 64.5 s; four pairs of scenes with one name start within a minute."""
    night = shared / "data/published/night"
    frames = np.array([line.split(",")[1:3] for line in (night / "scene.txt").read_text().split()], np.int64) / 60
    similarity = compare(np.load(night / f"features/{feature}_features.npy"), metric=metric)
    min_lap_s, _ = estimate_min_lap(similarity, frames[:, 0], seen_together(*frames.T), **params["laps"])
    assert 45 < min_lap_s < 64.45
