"""Pseudo-labels of made-up features, at the size of Market-1501's training set: seconds and peak memory, one process.

python benchmarks/cluster.py [PICTURES WIDTH]     default 12936 2048
"""

import resource
import sys
import time

import numpy as np

from runner_reid.clustering import pseudo_labels


def main() -> None:
    count, width = (int(given) for given in [*sys.argv[1:], *("12936", "2048")[len(sys.argv) - 1 :]])
    rng = np.random.default_rng(0)
    who = rng.integers(0, count // 17, count)
    feature = rng.standard_normal((count // 17, width), np.float32)[who]
    feature += rng.standard_normal(feature.shape, np.float32)
    feature /= np.linalg.norm(feature, axis=1, keepdims=True)
    start = time.perf_counter()
    label = pseudo_labels(feature, np.zeros(count), k1=30, k2=6, eps=0.45, min_samples=4, by_camera=False)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{count} x {width}: {label.max() + 1} clusters, {(label < 0).sum()} outliers, {seconds:.0f} s, {peak:.2f} GiB"
    )


if __name__ == "__main__":
    main()
