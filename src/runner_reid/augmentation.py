"""Random variations of training pictures."""

import cv2
import numpy as np


def vary_light(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A (H, W, 3) uint8 picture with random contrast, brightness, colour cast, blur and noise."""
    values: np.ndarray = image * (generator.uniform(0.6, 1.4) * generator.uniform(0.85, 1.15, 3)).astype(np.float32)
    values += generator.uniform(-25, 25)
    if generator.random() < 0.2:
        values = cv2.GaussianBlur(values, (0, 0), generator.uniform(0.4, 1.2))
    if generator.random() < 0.3:
        values += generator.normal(0, generator.uniform(2, 10), values.shape)
    return np.clip(values, 0, 255).astype(np.uint8)
