"""k-reciprocal re-ranking, against dense references that follow the published description item by item."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner_reid.errors import InputError
from runner_reid.reranking import rerank

CHOICES = {"k1": 6, "k2": 3, "jaccard_share": 0.7}


def nearest(distance: np.ndarray, item: int, among: list[int], k: int) -> list[int]:
    """The k items nearest to `item`, itself first, then by distance, then by number; forbidden ones never."""
    near = sorted(other for other in among if other != item and np.isfinite(distance[item, other]))
    near.sort(key=lambda other: distance[item, other])
    return ([item] if item in among else []) + near[: k - (item in among)]


def reciprocal(distance: np.ndarray, item: int, among: list[int], k: int) -> list[int]:
    return [other for other in nearest(distance, item, among, k) if item in nearest(distance, other, among, k)]


def jaccard(one: np.ndarray, other: np.ndarray) -> float:
    most = np.maximum(one, other).sum()
    return 1 - np.minimum(one, other).sum() / most if most > 0 else 1.0


def dense_soft(distance, queries, gallery, k1, k2, share):
    """distance: (N, N) between all items, infinite where forbidden."""
    everyone = list(range(len(distance)))
    largest = np.where(np.isfinite(distance), distance, 0).max(axis=1)
    scaled = distance / np.where(largest > 0, largest, 1)[:, None]
    described = np.zeros_like(distance)
    for item in everyone:
        members = reciprocal(distance, item, everyone, k1 + 1)
        grown = set(members)
        for other in members:
            half = reciprocal(distance, other, everyone, round(k1 / 2) + 1)
            if len(set(members) & set(half)) > 2 / 3 * len(half):
                grown |= set(half)
        for other in grown:
            described[item, other] = np.exp(-scaled[item, other])
        described[item] /= described[item].sum()
    if k2 > 1:
        described = np.array([described[nearest(distance, item, everyone, k2)].mean(axis=0) for item in everyone])
    return np.array(
        [[share * jaccard(described[q], described[g]) + (1 - share) * scaled[q, g] for g in gallery] for q in queries]
    )


def dense_binary(distance, queries, gallery, k1, k2, share):
    everyone = list(range(len(distance)))
    half = {g: reciprocal(distance, g, gallery, k1 // 2) for g in gallery}

    def joins(members, other):
        return 3 * len(set(members) & set(half[other])) >= 2 * len(half[other])

    by_gallery = {}
    for g in gallery:
        others = [other for other in reciprocal(distance, g, gallery, k1) if other != g]
        by_gallery[g] = {g, *others}.union(*(half[other] for other in others if joins(others, other)))
    by_query = {}
    for q in queries:
        members = [other for other in reciprocal(distance, q, everyone, k1) if other in gallery]
        tried = list(members)
        first = next((other for other in members if joins(members, other)), None)
        tried += half[first] if first is not None else []
        by_query[q] = set(members).union(*(half[other] for other in tried if joins(members, other)))

    def vector(members):
        return np.array([float(g in members) for g in gallery])

    def mean(vectors):
        return np.mean(vectors, axis=0) if vectors else np.zeros(len(gallery))

    wide = {
        q: mean(
            [
                vector(by_query[other] if other in by_query else by_gallery[other])
                for other in nearest(distance, q, everyone, k2)
            ]
        )
        for q in queries
    }
    narrow = {g: mean([vector(by_gallery[o]) for o in nearest(distance, g, gallery, k2 + 1)[1:]]) for g in gallery}
    original = np.array([[distance[q, g] for g in gallery] for q in queries])
    length = np.linalg.norm(original, axis=1, keepdims=True)
    original = original / np.where(length > 0, length, 1)
    return share * np.array([[jaccard(wide[q], narrow[g]) for g in gallery] for q in queries]) + (1 - share) * original


DENSE = {"soft": dense_soft, "binary": dense_binary}


@st.composite
def items(draw):
    """Distances between points in clumps, some of them equal."""
    n = draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    points = rng.normal(size=(5, 3))[rng.integers(0, 5, n)] + draw(st.sampled_from([0.0, 0.3, 1.0])) * rng.normal(
        size=(n, 3)
    )
    distance = np.square(points[:, None] - points[None]).sum(axis=2)
    return distance.astype(np.float32).astype(np.float64), rng


@settings(max_examples=60, deadline=None)
@given(items(), st.sampled_from(["soft", "binary"]), st.integers(1, 9), st.integers(1, 5), st.floats(0, 1))
def test_square_is_the_dense_reference(made, form, k1, k2, share):
    distance, _ = made
    everyone = list(range(len(distance)))
    found = rerank(distance, form=form, k1=k1, k2=k2, jaccard_share=share)
    np.testing.assert_allclose(found, DENSE[form](distance, everyone, everyone, k1, k2, share), atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(items(), st.sampled_from(["soft", "binary"]), st.integers(1, 9), st.integers(1, 5), st.floats(0, 1))
def test_query_and_gallery_are_the_dense_reference(made, form, k1, k2, share):
    distance, rng = made
    cut = int(rng.integers(0, len(distance) + 1))
    queries, gallery = list(range(cut)), list(range(cut, len(distance)))
    found = rerank(
        distance[:cut, cut:],
        query_query=distance[:cut, :cut],
        gallery_gallery=distance[cut:, cut:],
        form=form,
        k1=k1,
        k2=k2,
        jaccard_share=share,
    )
    assert found.shape == (len(queries), len(gallery))
    if found.size:
        np.testing.assert_allclose(found, DENSE[form](distance, queries, gallery, k1, k2, share), atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(items(), st.sampled_from(["soft", "binary"]), st.floats(0, 1))
def test_forbidden_pairs_are_nobodys_neighbours(made, form, share):
    """What is forbidden has an infinite distance in the reference; only allowed pairs are compared."""
    distance, rng = made
    allowed = rng.random(distance.shape) > share
    allowed = allowed & allowed.T
    masked = np.where(allowed | np.eye(len(allowed), dtype=bool), distance, np.inf)
    everyone = list(range(len(distance)))
    found = rerank(distance, allowed, form=form, **CHOICES)
    jaccard_only = rerank(distance, allowed, form=form, **CHOICES | {"jaccard_share": 1.0})
    with np.errstate(invalid="ignore"):
        expected = DENSE[form](masked, everyone, everyone, 6, 3, 1.0)
    np.testing.assert_allclose(jaccard_only[allowed], expected[allowed], atol=1e-6)
    assert np.isfinite(found).all()


def test_chunks_do_not_show(monkeypatch):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(40, 3))
    distance = np.square(points[:, None] - points[None]).sum(axis=2)
    blocks = {"query_query": distance[:15, :15], "gallery_gallery": distance[15:, 15:]}
    for form in DENSE:
        whole = rerank(distance[:15, 15:], **blocks, form=form, **CHOICES)
        monkeypatch.setattr("runner_reid.reranking.CHUNK", 7)
        np.testing.assert_allclose(rerank(distance[:15, 15:], **blocks, form=form, **CHOICES), whole, atol=1e-7)
        monkeypatch.undo()


@pytest.mark.parametrize("form", DENSE)
def test_edges(form):
    assert rerank(np.zeros((0, 0)), form=form, **CHOICES).shape == (0, 0)
    assert rerank(np.zeros((1, 1)), form=form, **CHOICES).shape == (1, 1)
    distance = 1 - np.eye(4)
    forbidden = rerank(distance, np.zeros((4, 4), bool), form=form, **CHOICES)
    assert np.isfinite(forbidden).all(), "all scenes are forbidden"
    assert rerank(distance, form=form, **CHOICES | {"k1": 99, "k2": 99}).shape == (4, 4), "more than there are"
    assert rerank(np.zeros((4, 4)), form=form, **CHOICES).tolist() == np.zeros((4, 4)).tolist() or form == "binary"


def test_it_finds_who_shares_neighbours():
    """A scene between two groups goes to the one whose members have it as a neighbour."""
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.normal(0, 0.3, (8, 2)), rng.normal(3, 0.3, (8, 2))])
    distance = np.square(points[:, None] - points[None]).sum(axis=2)
    same = np.repeat([0, 1], 8)[:, None] == np.repeat([0, 1], 8)
    for form in DENSE:
        found = rerank(distance, form=form, k1=6, k2=3, jaccard_share=0.7)
        assert found[same].max() < found[~same].min()


@pytest.mark.parametrize(
    "distance, change, says",
    [
        (np.full((2, 2), np.nan), {}, "4 values of distance that are negative or not finite.*leave out or replace"),
        (np.array([[0.0, -1.0], [-1.0, 0.0]]), {}, "2 values of distance that are negative"),
        (np.zeros((2, 3)), {}, r"distance of shape \(2, 3\); expected \(2, 2\)"),
        (np.zeros((2, 3)), {"query_query": np.zeros((2, 2))}, r"gallery_gallery of shape None; expected \(3, 3\)"),
        (np.zeros((2, 2)), {"allowed": np.ones((3, 3), bool)}, r"allowed of shape \(3, 3\); expected \(2, 2\)"),
        (np.zeros(3), {}, "distance of 1 axes; expected 2"),
        (np.zeros((2, 2)), {"form": "hard"}, "form 'hard'.*expected one of soft, binary"),
        (np.zeros((2, 2)), {"k1": 0}, "k1 0"),
        (np.zeros((2, 2)), {"jaccard_share": 1.5}, "jaccard_share 1.5"),
    ],
)
def test_what_cannot_be_reranked_is_told_in_a_line(distance, change, says):
    with pytest.raises(InputError, match=says) as error:
        rerank(distance, **({"form": "soft"} | CHOICES | change))
    assert "\n" not in str(error.value)
