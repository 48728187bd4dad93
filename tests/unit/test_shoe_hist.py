"""Colour histograms of the shoe."""

import cv2
import numpy as np
import pytest

from runner_reid.crops import SceneCrops
from runner_reid.extractors import shoe_hist

CHOICES = {"bins": 8, "space": "rgb", "size": (100, 200)}


@pytest.fixture
def shoe():
    image = np.random.default_rng(0).integers(0, 256, (30, 70, 3), np.uint8)
    mask = np.zeros((30, 70), bool)
    mask[:15] = True
    return SceneCrops(3, [image], [mask])


def test_each_channel_sums_to_the_size_as_published(shoe):
    scene, feature = shoe_hist.extract([shoe], **CHOICES)
    assert scene.tolist() == [3] and feature.reshape(3, 8).sum(axis=1).tolist() == [20000] * 3


def test_it_equals_opencv(shoe):
    resized = cv2.resize(shoe.images[0], (200, 100))
    expected = [cv2.calcHist([resized], [channel], None, [8], [0, 256]).ravel() for channel in range(3)]
    np.testing.assert_array_equal(shoe_hist.extract([shoe], **CHOICES)[1][0], np.concatenate(expected))


def test_the_space_of_colours_is_a_choice(shoe):
    resized = cv2.cvtColor(cv2.resize(shoe.images[0], (200, 100)), cv2.COLOR_RGB2LAB)
    expected = [cv2.calcHist([resized], [channel], None, [8], [0, 256]).ravel() for channel in range(3)]
    np.testing.assert_array_equal(
        shoe_hist.extract([shoe], **CHOICES | {"space": "lab"})[1][0], np.concatenate(expected)
    )
