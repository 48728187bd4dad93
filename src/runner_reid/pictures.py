"""Sheets of small pictures, for people to look at."""

import os
from collections.abc import Sequence

import cv2
import numpy as np

from runner_reid.files import atomic_path

GAP_PX = 2
QUALITY = 85


def sheet(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Rows of pictures (h, w, 3) uint8 of one size on black; shorter rows end earlier.

    >>> sheet([[np.ones((4, 3, 3), np.uint8)] * 2, []]).shape
    (10, 8, 3)
    """
    height, width = next((row[0].shape[:2] for row in rows if len(row)), (1, 1))
    columns = max((len(row) for row in rows), default=1)
    shape = (len(rows) * (height + GAP_PX) - GAP_PX, columns * (width + GAP_PX) - GAP_PX, 3)
    found = np.zeros(np.maximum(shape, 1), np.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            y, x = i * (height + GAP_PX), j * (width + GAP_PX)
            found[y : y + height, x : x + width] = picture
    return found


def write_picture(path: str | os.PathLike, image_rgb: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB as WebP, atomically. The same picture gives the same bytes."""
    with atomic_path(path) as temporary:
        encoded = cv2.imencode(".webp", image_rgb[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1]
        temporary.write_bytes(encoded.tobytes())
