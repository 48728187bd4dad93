"""Random variations of training pictures."""

import cv2
import numpy as np

GREY = (124, 116, 104)
"""ImageNet's mean colour."""


def vary_light(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A (H, W, 3) uint8 picture with random contrast, brightness, colour cast, blur and noise."""
    values: np.ndarray = image * (generator.uniform(0.6, 1.4) * generator.uniform(0.85, 1.15, 3)).astype(np.float32)
    values += generator.uniform(-25, 25)
    if generator.random() < 0.2:
        values = cv2.GaussianBlur(values, (0, 0), generator.uniform(0.4, 1.2))
    if generator.random() < 0.3:
        values += generator.normal(0, generator.uniform(2, 10), values.shape)
    return np.clip(values, 0, 255).astype(np.uint8)


def vary_pictures(
    images: np.ndarray, generator: np.random.Generator, *, flip: float, pad: int, erase: float, blur: float
) -> np.ndarray:
    """Pictures of people (B, H, W, 3) uint8, each changed at random, as unsupervised re-ID does.

    flip: share mirrored. pad: pixels of black around, of which a window of the old size is cut. erase: share of which
    a box of 2 to 40 % is filled with grey (Zhong et al. 2020). blur: share blurred.
    """
    height, width = images.shape[1:3]
    varied = np.empty_like(images)
    for place, image in enumerate(images):
        mirrored, erased, blurred = generator.random(3) < (flip, erase, blur)
        if mirrored:
            image = image[:, ::-1]
        if pad:
            top, left = generator.integers(0, 2 * pad + 1, 2)
            image = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))[top : top + height, left : left + width]
        if blurred:
            image = cv2.GaussianBlur(np.ascontiguousarray(image), (0, 0), generator.uniform(0.1, 2.0))
        varied[place] = image
        if erased:
            top, left, box_height, box_width = _box(height, width, generator)
            varied[place, top : top + box_height, left : left + box_width] = GREY
    return varied


def _box(height: int, width: int, generator: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width of a box that fits; height and width 0 if none of ten does."""
    for _ in range(10):
        area = generator.uniform(0.02, 0.4) * height * width
        aspect = generator.uniform(0.3, 1 / 0.3)
        box_height, box_width = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if 0 < box_height < height and 0 < box_width < width:
            return (
                int(generator.integers(0, height - box_height)),
                int(generator.integers(0, width - box_width)),
                box_height,
                box_width,
            )
    return 0, 0, 0, 0
