"""Training of the segmenter in mixed precision against float32: seconds of a batch, in turns, and their ratio.

python benchmarks/precision.py [TURNS]
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from runner_reid import networks, persons, yolo

FIT = {"batch": 16, "learning_rate": 0.002, "weight_decay": 0.0005, "batches_per_epoch": 3, "seed": 0}
SIDE = 256


def examples(generator: np.random.Generator) -> Iterator[yolo.Example]:
    """Grey boxes on noise, three a picture: the work is that of real pictures."""
    while True:
        image = generator.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
        labels = np.zeros((SIDE, SIDE), np.uint8)
        boxes = []
        for number, (x, y) in enumerate(generator.integers(0, SIDE - 100, (3, 2)), start=1):
            labels[y : y + 100, x : x + 40] = number
            boxes.append((x, y, x + 40, y + 100))
        image[labels > 0] = 128
        yield image, np.array(boxes, np.float32), labels


def main(turns: int) -> None:
    device = networks.prepare(threads=8)
    seconds: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    with tempfile.TemporaryDirectory() as folder:
        trainings = {
            precision: yolo.train(
                *(persons.ARCHITECTURE, {}, examples),
                **FIT,
                **{"epochs": turns + 1, "precision": precision, "device": device, "fingerprint": precision},
                checkpoint=Path(folder) / precision,
            )[1]
            for precision in seconds
        }
        for turn in range(turns + 1):
            for precision, rows in trainings.items():
                started = time.perf_counter()
                next(rows)
                if turn:  # the first warms up
                    seconds[precision].append((time.perf_counter() - started) / FIT["batches_per_epoch"])
    ratios = [slow / fast for slow, fast in zip(*seconds.values(), strict=True)]
    for precision, each in seconds.items():
        print(f"{precision}: {statistics.median(each):.3f} s a batch of {FIT['batch']} windows of {SIDE} px")
    print(f"float32 / bfloat16: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
