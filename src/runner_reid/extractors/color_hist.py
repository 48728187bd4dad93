"""Colours of the upper body as a histogram (S0, "color histogram")."""

from collections.abc import Iterable

import cv2
import numpy as np

from runner_reid.crops import SceneCrops
from runner_reid.errors import check_choice
from runner_reid.extractors import by_scene

CROPS = "person"
LEARNED = False
EXAMPLE = {"bins": 8, "space": "rgb", "size": 64, "upper_share": 0.5, "ignore_black": True}


def extract(
    scenes: Iterable[SceneCrops], *, bins: int, space: str, size: int, upper_share: float, ignore_black: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Counts of colours per scene: the histogram of each frame, averaged over the frames. D = 3 * bins.

    Each crop is resized to `size` x `size`, and of its upper `upper_share` the pixels of the mask (resized to
    the nearest) are counted; with `ignore_black`, as published, only those whose grey value is above 0, else
    black clothes count too. space: see `colours`. Published: 8 bins, rgb, 64, 0.5, no mask but black ignored.

    More `bins` tell finer shades apart and react more to light; a larger `upper_share` adds the legs.
    """
    features = {}
    for scene in scenes:
        counts = np.zeros(3 * bins)
        for image, mask in zip(scene.images, scene.masks, strict=True):
            upper = slice(0, max(1, round(size * upper_share)))
            small = cv2.resize(image, (size, size))[upper]
            counted = cv2.resize(mask.astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST)[upper] > 0
            if ignore_black:
                counted &= cv2.cvtColor(small, cv2.COLOR_RGB2GRAY) > 0
            counts += histogram(colours(small, space=space)[counted], bins=bins)
        features[scene.scene] = counts / len(scene.images)
    return by_scene(features, width=3 * bins)


def colours(image_rgb: np.ndarray, *, space: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB as "rgb", or as "lab" (CIE L*a*b*, whose second and third channels know no light).

    Raises InputError for another space.
    """
    check_choice("space", space, ("rgb", "lab"))
    return image_rgb if space == "rgb" else cv2.cvtColor(image_rgb, cv2.COLOR_RGB2LAB)


def histogram(pixels: np.ndarray, *, bins: int) -> np.ndarray:
    """Counts (3 * bins,) of the values of each channel in equal bins over 0..255. pixels: (P, 3) uint8.

    >>> histogram(np.array([[0, 127, 255], [0, 128, 255]], np.uint8), bins=2).tolist()
    [2, 0, 1, 1, 0, 2]
    """
    bin_of = pixels.astype(np.int64) * bins // 256 + np.arange(3) * bins
    return np.bincount(bin_of.ravel(), minlength=3 * bins)
