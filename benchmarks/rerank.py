"""k-reciprocal re-ranking, sparse (ours) against dense (numpy): seconds and peak memory beside the given distances.

Made-up features of people seen about eight times each. Each run has a process of its own, with one thread.
The dense one holds (N, N) matrices of all N = queries + gallery items, as published implementations do.

    python benchmarks/rerank.py [QUERIES GALLERY [FORM]]     3368 15913 is Market-1501; default 400 1600 soft
"""

import os
import resource
import subprocess
import sys
import time

import numpy as np

from runner_reid.reranking import rerank

CHOICES = {"k1": 20, "k2": 6, "jaccard_share": 0.7}


def blocks(queries: int, gallery: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared distances of features of length 1: query to gallery, among queries, among gallery; float32."""
    rng = np.random.default_rng(0)
    count = queries + gallery
    feature = rng.normal(size=(count // 8 + 1, 64))[rng.integers(0, count // 8 + 1, count)]
    feature = (feature + 0.7 * rng.normal(size=feature.shape)).astype(np.float32)
    feature /= np.linalg.norm(feature, axis=1, keepdims=True)
    query, rest = feature[:queries], feature[queries:]
    return tuple(np.maximum(2 - 2 * one @ other.T, 0) for one, other in ((query, rest), (query, query), (rest, rest)))


def dense(distance: np.ndarray, query_query: np.ndarray, gallery_gallery: np.ndarray) -> np.ndarray:
    """The soft form with whole matrices."""
    k1, k2, share = CHOICES["k1"], CHOICES["k2"], CHOICES["jaccard_share"]
    queries = len(distance)
    scaled = np.block([[query_query, distance], [distance.T, gallery_gallery]])
    np.fill_diagonal(scaled, 0)
    scaled /= scaled.max(axis=1, keepdims=True)
    order = np.argsort(scaled, axis=1, kind="stable").astype(np.int32)

    def reciprocal(item: int, k: int) -> np.ndarray:
        near = order[item, : k + 1]
        return near[(order[near, : k + 1] == item).any(axis=1)]

    described = np.zeros_like(scaled)
    for item in range(len(scaled)):
        members = grown = reciprocal(item, k1)
        for other in members:
            half = reciprocal(other, round(k1 / 2))
            if len(np.intersect1d(members, half)) > 2 / 3 * len(half):
                grown = np.append(grown, half)
        grown = np.unique(grown)
        weight = np.exp(-scaled[item, grown])
        described[item, grown] = weight / weight.sum()
    described = np.stack([described[near[:k2]].mean(axis=0) for near in order])
    answer = np.empty(distance.shape, np.float32)
    for row in range(queries):
        column = np.flatnonzero(described[row])
        shared = np.minimum(described[row, column], described[queries:, column]).sum(axis=1)
        answer[row] = share * (1 - shared / (2 - shared)) + (1 - share) * scaled[row, queries:]
    return answer


def measure(name: str, queries: int, gallery: int, form: str) -> None:
    """Print one row of the table, and how far its answer is from nothing: the sum of the first rows."""
    distance, query_query, gallery_gallery = blocks(queries, gallery)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    if name == "ours":
        found = rerank(distance, query_query=query_query, gallery_gallery=gallery_gallery, form=form, **CHOICES)
    else:
        found = dense(distance, query_query, gallery_gallery)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"| {name} | {seconds:.1f} | {before / 2**20:.2f} | {peak / 2**20:.2f} | {found[:10].sum():.3f} |", flush=True
    )


def main() -> None:
    if len(sys.argv) == 5:
        measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
        return
    queries, gallery, form = [*sys.argv[1:], *("400", "1600", "soft")[len(sys.argv) - 1 :]]
    print(f"{queries} x {gallery}, {form}\n\n| | s | GiB with the distances given | GiB at most | sum of 10 rows |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    for name in ("ours", "dense") if form == "soft" else ("ours",):
        subprocess.run([sys.executable, __file__, name, queries, gallery, form], env=os.environ | single, check=True)


if __name__ == "__main__":
    main()
