"""Colours of the shoe as a histogram (S0, "color histogram w/ shoes")."""

from collections.abc import Iterable

import cv2
import numpy as np

from runner_reid.crops import SceneCrops
from runner_reid.extractors import by_scene
from runner_reid.extractors.color_hist import colours, histogram

CROPS = "shoe"
LEARNED = False
EXAMPLE = {"bins": 8, "space": "rgb", "size": (100, 200)}


def extract(
    scenes: Iterable[SceneCrops], *, bins: int, space: str, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Counts of colours per scene, averaged over its shoe crops (usually one). D = 3 * bins.

    Each crop is resized to `size` (height, width), and every pixel of it is counted, ground included, so each
    channel sums to height * width. space: see `color_hist.colours`. Published: 8 bins, rgb, (100, 200).

    More `bins` tell finer shades apart and react more to light; a larger `size` only scales the counts.
    """
    height, width = size
    features = {}
    for scene in scenes:
        counts = np.zeros(3 * bins)
        for image in scene.images:
            counts += histogram(colours(cv2.resize(image, (width, height)), space=space).reshape(-1, 3), bins=bins)
        features[scene.scene] = counts / len(scene.images)
    return by_scene(features, width=3 * bins)
