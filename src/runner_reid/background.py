"""Persons without weights: what differs from the still background of a fixed camera. The segmenter's sibling.

It cannot tell people who overlap from each other, nor people from other things that move or from their shadows.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import polars as pl

from runner_reid.frames import read_frames
from runner_reid.yolo import Detections

MEDIAN_ROWS = 64
"""Rows of the picture whose median is taken at once: bounds the memory it needs."""


def moving_things(
    files: list[Path],
    frames: pl.DataFrame,
    *,
    samples: int,
    min_difference: float,
    close: float,
    min_height: float,
    min_fill: float,
) -> Callable[[list[np.ndarray]], list[Detections]]:
    """A function from RGB pictures of one file to what moves in them, the largest first; its score is always 1.

    frames: rows of table FRAMES of that file. The background is the median of `samples` of them, spread evenly:
    more are slower and forget better who stands for a while.
    min_difference: grey levels from which a pixel is no background; larger loses people dressed like it.
    close: gaps of up to this share of the picture's height are closed; larger joins limbs, and neighbours.
    min_height: share of the picture's height from which something counts; larger loses people far away.
    min_fill: share of its box that a thing must fill; larger loses thin and spread ones.
    """
    background = cv2.GaussianBlur(_median(files, frames, samples), (5, 5), 0)
    side = max(1, round(close * len(background))) // 2 * 2 + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))

    def find(images: list[np.ndarray]) -> list[Detections]:
        return [_moving(image, background, kernel, min_difference, min_height, min_fill) for image in images]

    return find


def _median(files: list[Path], frames: pl.DataFrame, samples: int) -> np.ndarray:
    chosen = np.unique(np.linspace(0, frames.height - 1, min(samples, frames.height)).round().astype(int))
    pictures = [image for _, image in read_frames(files, frames[chosen])]
    rows = range(0, len(pictures[0]), MEDIAN_ROWS)
    parts = [np.median([image[row : row + MEDIAN_ROWS] for image in pictures], axis=0) for row in rows]
    return np.concatenate(parts).astype(np.uint8)


def _moving(
    image: np.ndarray,
    background: np.ndarray,
    kernel: np.ndarray,
    min_difference: float,
    min_height: float,
    min_fill: float,
) -> Detections:
    difference = cv2.absdiff(cv2.GaussianBlur(image, (5, 5), 0), background).max(axis=2)
    noise = float(np.median(difference[::4, ::4]))
    moved = (difference > min_difference + 3 * noise).astype(np.uint8)
    joined = cv2.morphologyEx(moved, cv2.MORPH_CLOSE, kernel)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
    found = []
    for number, (x, y, width, height, area) in enumerate(stats[1:], 1):
        fill = area / (width * height)
        if height >= min_height * len(image) and fill >= min_fill:
            mask = labels[y : y + height, x : x + width] == number
            found.append((area, (x, y, x + width, y + height), mask))
    found.sort(key=lambda thing: (-thing[0], thing[1]))
    return Detections(
        np.array([box for _, box, _ in found], np.float32).reshape(-1, 4),
        np.ones(len(found), np.float32),
        [mask for _, _, mask in found],
    )
