"""Groups, against a plain reference that reconsiders every pair of groups at every step."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner_reid.grouping import group, link


def slow_groups(alike: np.ndarray, forbidden: np.ndarray, cut: float) -> list[int]:
    groups = [[i] for i in range(len(alike))]
    while True:
        best = None
        for a, b in itertools.combinations(groups, 2):
            pairs = [(i, j) for i in a for j in b]
            if not any(forbidden[i, j] for i, j in pairs):
                mean = sum(float(alike[i, j]) for i, j in pairs) / len(pairs)
                if mean >= cut and (best is None or mean > best[0]):
                    best = (mean, a, b)
        if best is None:
            return [next(min(one) for one in groups if i in one) for i in range(len(alike))]
        _, a, b = best
        groups = sorted([one for one in groups if one not in (a, b)] + [sorted(a + b)])


def made_up(n: int, seed: int, levels: int, lap: int) -> tuple[np.ndarray, np.ndarray]:
    """Similarities of few levels, and what is forbidden: less than a lap apart, or at random for a lap of 0."""
    rng = np.random.default_rng(seed)
    alike = np.triu(rng.integers(0, levels + 1, (n, n)) / levels, 1).astype(np.float32).astype(np.float64)
    scene = np.arange(n)
    near = np.abs(scene[:, None] - scene) < lap if lap else rng.random((n, n)) < 0.3
    forbidden = np.triu(near, 1)
    return alike + alike.T, forbidden | forbidden.T


def score(first_scene: np.ndarray, alike: np.ndarray, cut: float) -> float:
    return float(np.triu((alike - cut) * (first_scene[:, None] == first_scene), 1).sum())


CASES = (
    st.integers(0, 9),
    st.integers(0, 2**32 - 1),
    st.sampled_from([2, 5, 1000]),
    st.integers(0, 5),
    st.floats(0, 1),
)


@settings(max_examples=150, deadline=None)
@given(*CASES)
def test_linkage_is_the_plain_algorithm(n, seed, levels, lap, cut):
    alike, forbidden = made_up(n, seed, levels, lap)
    before = alike.copy(), forbidden.copy()
    assert link(np.arange(n), alike, forbidden, cut=cut).tolist() == slow_groups(*before, cut)
    np.testing.assert_array_equal(alike, before[0])
    np.testing.assert_array_equal(forbidden, before[1])


@settings(max_examples=150, deadline=None)
@given(*CASES)
def test_groups_are_better_than_linkage_and_no_move_improves_them(n, seed, levels, lap, cut):
    alike, forbidden = made_up(n, seed, levels, lap)
    found = group(alike, forbidden, cut=cut)
    assert [found[i] for i in found] == found.tolist() and (found <= np.arange(n)).all(), "called by the first scene"
    assert not (forbidden & (found[:, None] == found)).any()
    reached = score(found, alike, cut)
    assert reached >= score(link(np.arange(n), alike, forbidden, cut=cut), alike, cut) - 1e-6
    for scene, other in itertools.product(range(n), [*sorted(set(found.tolist())), -1]):
        moved = found.copy()
        moved[scene] = other
        if not (forbidden & (moved[:, None] == moved)).any():
            assert score(moved, alike, cut) <= reached + 1e-6


@pytest.mark.parametrize("wrong", range(3))
def test_one_wrong_scene_does_not_keep_two_halves_apart(wrong):
    """Two runners pass in turn; one scene of the second is most alike to the first's next lap."""
    runner = np.arange(12) % 2
    alike = np.where(runner[:, None] == runner, 0.7, 0.1)
    one, other = 2 * wrong + 1, 2 * wrong + 4
    alike[one, other] = alike[other, one] = 0.95
    np.fill_diagonal(alike, 0)
    forbidden = np.abs(np.subtract.outer(range(12), range(12))) == 1
    assert group(alike, forbidden, cut=0.3).tolist() == runner.tolist()
    assert link(np.arange(12), alike, forbidden, cut=0.3).tolist() != runner.tolist()
