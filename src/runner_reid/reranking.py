"""Looking again with the neighbours' eyes: k-reciprocal re-ranking in both published forms, sparse inside."""

import itertools
from collections.abc import Iterator

import numpy as np
from scipy import sparse

from runner_reid.errors import InputError

FORMS = ("soft", "binary")
CHUNK = 512
"""Rows that are sorted at once: bounds the memory beside the given and the returned matrix."""


def rerank(
    distance: np.ndarray,
    allowed: np.ndarray | None = None,
    *,
    query_query: np.ndarray | None = None,
    gallery_gallery: np.ndarray | None = None,
    form: str,
    k1: int,
    k2: int,
    jaccard_share: float,
) -> np.ndarray:
    """Distances between queries and gallery that take into account who else is near to whom (k-reciprocal).

    distance: (Q, G), smaller is more alike, 0 or more; with query_query (Q, Q) and gallery_gallery (G, G).
        Without these two, `distance` is square and its items are query and gallery at once.
    allowed: bool, shape of `distance`; a forbidden pair is nobody's neighbour. None allows all.
    form: `soft` (Zhong et al. 2017): an item is described by its k1 reciprocal neighbours (besides itself), enlarged
        by half sets that overlap by more than 2/3, weighted by exp(-distance / largest distance of the row).
        `binary` (MMSports'23 winner): by k1 neighbours, itself included, of the gallery only, enlarged by half sets
        that overlap by 2/3 or more, all of weight 1; in a gallery item's mean over neighbours it skips itself.
    k1: neighbours looked at; larger reaches farther, and mixes runners once it passes the scenes of one runner.
        What exceeds the number of items counts as that number.
    k2: neighbours whose descriptions are averaged; larger smooths more, 1 not at all (`soft`).
    jaccard_share: share of the Jaccard distance in the answer, the rest is the distance as given, each row divided by
        its maximum (`soft`) or length (`binary`). Published: 0.7, that is lambda 0.3 of Zhong et al.

    Returns (Q, G) float32. Of equal distances the earlier item is nearer. Published runs give squared distances.
    In the winner's code the members of the first half set that joins a query's set are tried too; so they are here.
    It averages over neighbours row after row in place, so that its result depends on the order of the items; here
    all rows are averaged at once. Raises InputError if values or shapes do not fit.

    >>> alike = np.array([[0.0, 0.1, 0.9], [0.1, 0.0, 0.8], [0.9, 0.8, 0.0]])
    >>> rerank(alike, form="soft", k1=1, k2=1, jaccard_share=1.0).astype(float).round(2).tolist()
    [[0.0, 0.11, 1.0], [0.11, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """
    blocks = _Blocks(distance, query_query, gallery_gallery, allowed)
    if form not in FORMS or k1 < 1 or k2 < 1 or not 0 <= jaccard_share <= 1:
        raise InputError(
            f"rerank: got form {form!r}, k1 {k1}, k2 {k2}, jaccard_share {jaccard_share}; expected one of "
            f"{', '.join(FORMS)}, k1 and k2 of 1 or more, a share in 0..1; correct it"
        )
    if not distance.size:
        return np.zeros(distance.shape, np.float32)
    described = _soft if form == "soft" else _binary
    query, gallery = described(blocks, k1, k2)
    answer = np.empty(distance.shape, np.float32)
    for rows, jaccard in jaccard_rows(query, gallery):
        given = np.asarray(distance[rows], np.float32)
        if form == "soft":
            size = blocks.largest[rows, None].astype(np.float32)
        else:
            size = np.linalg.norm(given, axis=1, keepdims=True)
        given = np.divide(given, size, out=np.zeros_like(given), where=size > 0)
        answer[rows] = jaccard_share * jaccard + (1 - jaccard_share) * given
    return answer


class _Blocks:
    """All items as one square of distances, row chunk by row chunk: queries first, then the gallery.

    Where queries are the gallery, there is one item for both.
    """

    def __init__(
        self,
        distance: np.ndarray,
        query_query: np.ndarray | None,
        gallery_gallery: np.ndarray | None,
        allowed: np.ndarray | None,
    ):
        if distance.ndim != 2:
            raise InputError(f"rerank: got a distance of {distance.ndim} axes; expected 2; give a matrix")
        queries, gallery = distance.shape
        self.square = query_query is None and gallery_gallery is None
        expected: dict = {"distance": (distance, (queries, queries if self.square else gallery))}
        beside = {"query_query": (query_query, queries), "gallery_gallery": (gallery_gallery, gallery)}
        if not self.square:
            expected |= {name: (given, (size, size)) for name, (given, size) in beside.items()}
        expected |= {} if allowed is None else {"allowed": (allowed, distance.shape)}
        for name, (given, shape) in expected.items():
            if given is None or given.shape != shape:
                raise InputError(
                    f"rerank: got {name} of shape {None if given is None else given.shape}; expected {shape}; give a "
                    "square of distances, or all of distance, query_query and gallery_gallery"
                )
            bad = 0 if name == "allowed" else sum(_unusable(given[rows]) for rows in _chunks(len(given)))
            if bad:
                raise InputError(
                    f"rerank: got {bad} values of {name} that are negative or not finite; expected distances of 0 or "
                    "more; leave out or replace what is unknown (similarity.fuse does)"
                )
        self.distance, self.allowed = distance, allowed
        self.own = [block for block in (query_query, gallery_gallery) if block is not None]
        self.queries = np.arange(queries)
        self.gallery = self.queries if self.square else queries + np.arange(gallery)
        self.items = queries if self.square else queries + gallery
        self.largest = np.zeros(self.items)

    def rows(self, rows: slice) -> np.ndarray:
        """Distances of some items, all queries or all gallery, to all, (R, items); forbidden is infinite, own 0."""
        count = len(self.queries)
        if self.square:
            distance = self._mask(self.distance[rows], None if self.allowed is None else self.allowed[rows])
            distance[np.arange(len(distance)), self.queries[rows]] = 0
            return distance
        if rows.start < count:
            allowed = None if self.allowed is None else self.allowed[rows]
            return np.hstack([self.own[0][rows], self._mask(self.distance[rows], allowed)])
        own = slice(rows.start - count, rows.stop - count)
        allowed = None if self.allowed is None else self.allowed[:, own].T
        return np.hstack([self._mask(self.distance[:, own].T, allowed), self.own[1][own]])

    def _mask(self, distance: np.ndarray, allowed: np.ndarray | None) -> np.ndarray:
        return distance.copy() if allowed is None else np.where(allowed, distance, np.inf)

    def chunks(self) -> Iterator[slice]:
        """The items in runs of at most CHUNK, none of which holds queries and gallery both."""
        edges = [0, self.items] if self.square else [0, len(self.queries), self.items]
        for first, last in itertools.pairwise(edges):
            yield from (slice(first + part.start, first + part.stop) for part in _chunks(last - first))

    def nearest(self, k: int, k_gallery: int) -> tuple[np.ndarray, np.ndarray]:
        """Per item its k nearest of all items, per gallery item its k_gallery nearest of the gallery, itself first.

        Returns (items, k) and (gallery, k_gallery) int, -1 where there are no more. Fills `largest` on the way.
        """
        found = np.full((self.items, k), -1)
        among = np.full((len(self.gallery), k_gallery), -1)
        for rows in self.chunks():
            distance = self.rows(rows)
            itself = np.arange(rows.start, rows.stop)
            finite = np.where(np.isfinite(distance), distance, 0)
            self.largest[rows] = finite.max(axis=1)
            distance[np.arange(len(distance)), itself] = -1
            found[rows] = _smallest(distance, k)
            if k_gallery and rows.start >= self.gallery[0]:
                own = slice(rows.start - self.gallery[0], rows.stop - self.gallery[0])
                among[own] = _smallest(distance[:, self.gallery[0] :], k_gallery)
        return found, among


def _chunks(count: int) -> Iterator[slice]:
    return (slice(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK))


def _unusable(values: np.ndarray) -> int:
    return int((~(np.isfinite(values) & (values >= 0))).sum())


def _smallest(distance: np.ndarray, k: int) -> np.ndarray:
    """The columns of the k smallest finite values of each row in order, equals by column; -1 for none."""
    rows, width = distance.shape
    kept = min(k, width)
    column = np.sort(np.argpartition(distance, kept - 1, axis=1)[:, :kept], axis=1)
    value = np.take_along_axis(distance, column, axis=1)
    last = value.max(axis=1, keepdims=True)
    split = (distance == last).sum(axis=1) > (value == last).sum(axis=1)  # equals, of which some were left out
    column[split] = np.sort(np.argsort(distance[split], axis=1, kind="stable")[:, :kept], axis=1)
    value = np.take_along_axis(distance, column, axis=1)
    order = np.argsort(value, axis=1, kind="stable")
    column, value = np.take_along_axis(column, order, axis=1), np.take_along_axis(value, order, axis=1)
    found = np.full((rows, k), -1)
    found[:, :kept] = np.where(np.isfinite(value), column, -1)
    return found


def _lists(found: np.ndarray, width: int) -> sparse.csr_array:
    """Lists of columns, -1 for none, as a sparse matrix (rows, width) of ones."""
    row, place = np.nonzero(found >= 0)
    data = np.ones(len(row), np.float32)
    return sparse.csr_array((data, (row, found[row, place])), shape=(len(found), width))


def _enlarged(
    members: sparse.csr_array, tried: sparse.csr_array, half: sparse.csr_array, strict: bool
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """`members` with the half sets of those `tried` that they hold 2/3 (`strict`: more) of; and who these are."""
    overlap = (members @ half.T).multiply(tried).tocoo()
    size = np.asarray(half.sum(axis=1)).ravel()[overlap.col]
    joins = 3 * overlap.data > 2 * size if strict else 3 * overlap.data >= 2 * size
    data = np.ones(int(joins.sum()), np.float32)
    joined = sparse.csr_array((data, (overlap.row[joins], overlap.col[joins])), shape=tried.shape)
    return _ones(members + joined @ half), joined


def reciprocal_sets(near: np.ndarray, near_half: np.ndarray) -> sparse.csr_array:
    """The k-reciprocal neighbours of each item (Zhong et al. 2017), as a sparse matrix (N, N) of ones, columns sorted.

    near: (N, k) nearest items, itself first, -1 for none. near_half: its first columns: the half sets, which join if
    more than 2/3 of them are members already.
    """
    forward, half = (_lists(found, len(near)) for found in (near, near_half))
    members, half = forward.multiply(forward.T).tocsr(), half.multiply(half.T).tocsr()
    members = sparse.csr_array(_enlarged(members, members, half, strict=True)[0]).astype(np.float32)
    members.sort_indices()
    return members


def _ones(matrix: sparse.csr_array) -> sparse.csr_array:
    matrix = sparse.csr_array(matrix)
    matrix.data[:] = 1
    return matrix


def mean_over(found: np.ndarray, described: sparse.csr_array) -> sparse.csr_array:
    """The mean description over each list of neighbours."""
    lists = _lists(found, described.shape[0])
    size = np.maximum(np.diff(lists.indptr), 1)
    return sparse.csr_array(sparse.diags_array((1 / size).astype(np.float32)) @ lists @ described)


def _soft(blocks: _Blocks, k1: int, k2: int) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Descriptions of queries and gallery, (Q, items) and (G, items); rows sum to 1."""
    near, _ = blocks.nearest(max(k1 + 1, k2), 0)
    described = reciprocal_sets(near[:, : k1 + 1], near[:, : round(k1 / 2) + 1])
    for rows in blocks.chunks():
        distance = blocks.rows(rows)
        scale = np.where(blocks.largest[rows] > 0, blocks.largest[rows], 1)[:, None]
        own = slice(described.indptr[rows.start], described.indptr[rows.stop])
        row = np.repeat(np.arange(len(distance)), np.diff(described.indptr[rows.start : rows.stop + 1]))
        described.data[own] = np.exp(-(distance / scale)[row, described.indices[own]])
    total = np.asarray(described.sum(axis=1)).ravel()
    described = sparse.csr_array(sparse.diags_array(1 / total) @ described)
    if k2 > 1:
        described = mean_over(near[:, :k2], described)
    return described[blocks.queries], described[blocks.gallery]


def _binary(blocks: _Blocks, k1: int, k2: int) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Descriptions of queries and gallery by the gallery, (Q, G) and (G, G)."""
    near, among = blocks.nearest(max(k1, k2), max(k1, k2 + 1))
    size = len(blocks.gallery)
    forward, half = (_lists(among[:, :k], size) for k in (k1, k1 // 2))
    members, half = forward.multiply(forward.T).tocsr(), half.multiply(half.T).tocsr()
    others = members - members.multiply(sparse.eye_array(size))
    others.eliminate_zeros()
    gallery = _ones(_enlarged(others, others, half, strict=False)[0] + sparse.eye_array(size))

    everyone = _lists(near[:, :k1], blocks.items)
    found = everyone.multiply(everyone.T).tocsr()[blocks.queries][:, blocks.gallery]
    _, joined = _enlarged(found, found, half, strict=False)
    first = _first(joined, near[blocks.queries, :k1] - blocks.gallery[0])
    query, _ = _enlarged(found, _ones(found + _lists(first[:, None], size) @ half), half, strict=False)

    near_k2 = near[blocks.queries, :k2]
    if blocks.square:
        return mean_over(near_k2, query), mean_over(among[:, 1 : k2 + 1], gallery)
    return mean_over(near_k2, sparse.vstack([query, gallery]).tocsr()), mean_over(among[:, 1 : k2 + 1], gallery)


def _first(joined: sparse.csr_array, near: np.ndarray) -> np.ndarray:
    """Per row the first of the columns `near` that has joined, -1 for none."""
    first = np.full(len(near), -1)
    for row, columns in enumerate(near):
        members = joined.indices[joined.indptr[row] : joined.indptr[row + 1]]
        found = columns[np.isin(columns, members)]
        first[row] = found[0] if found.size else -1
    return first


def jaccard_rows(query: sparse.csr_array, gallery: sparse.csr_array) -> Iterator[tuple[slice, np.ndarray]]:
    """Per run of queries their Jaccard distances (R, G): 1 - sum of minima / sum of maxima."""
    by_column = sparse.csc_array(gallery)
    weight, query_weight = (np.asarray(side.sum(axis=1)).ravel() for side in (gallery, query))
    for rows in _chunks(query.shape[0]):
        shared = np.zeros((rows.stop - rows.start, gallery.shape[0]))
        for place, row in enumerate(range(rows.start, rows.stop)):
            own = slice(query.indptr[row], query.indptr[row + 1])
            column = query.indices[own]
            start, count = by_column.indptr[column], by_column.indptr[column + 1] - by_column.indptr[column]
            entry = np.repeat(start - np.cumsum(count) + count, count) + np.arange(count.sum())
            least = np.minimum(np.repeat(query.data[own], count), by_column.data[entry])
            shared[place] = np.bincount(by_column.indices[entry], least, minlength=gallery.shape[0])
        union = query_weight[rows, None] + weight - shared
        share = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
        yield rows, np.maximum(1 - share, 0)
