"""Colours of the shoe as a histogram (S0, "color histogram w/ shoes")."""

from collections.abc import Iterable

import cv2
import numpy as np

from runner_reid.crops import SceneCrops
from runner_reid.extractors import by_scene
from runner_reid.extractors.color_hist import histogram

CROPS = "shoe"
LEARNED = False
EXAMPLE = {"bins": 8, "size": (100, 200), "masked": False}


def extract(
    scenes: Iterable[SceneCrops], *, bins: int, size: tuple[int, int], masked: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Counts of colours per scene, averaged over its shoe crops (usually one). D = 3 * bins.

    Each crop is resized to `size` (height, width). masked: count the pixels of the mask only; without it,
    as published, everything, so each channel sums to height * width. Published: 8 bins, (100, 200), no mask.

    More `bins` tell finer shades apart and react more to light; a larger `size` only scales the counts.
    """
    height, width = size
    features = {}
    for scene in scenes:
        counts = np.zeros(3 * bins)
        for image, mask in zip(scene.images, scene.masks, strict=True):
            pixels = cv2.resize(image, (width, height))
            kept = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
            counts += histogram(pixels[kept] if masked else pixels.reshape(-1, 3), bins=bins)
        features[scene.scene] = counts / len(scene.images)
    return by_scene(features, width=3 * bins)
