"""Colour histograms of the upper body."""

import cv2
import numpy as np
import pytest

from runner_reid.crops import SceneCrops
from runner_reid.errors import InputError
from runner_reid.extractors import color_hist

CHOICES = {"bins": 8, "space": "rgb", "size": 64, "upper_share": 0.5, "ignore_black": True}


def one(*images, masks=None, **changes):
    masks = masks or [np.ones(image.shape[:2], bool) for image in images]
    return color_hist.extract([SceneCrops(1, list(images), masks)], **(CHOICES | changes))[1][0]


def plain(colour, shape=(64, 64)):
    return np.full((*shape, 3), colour, np.uint8)


def counts(*bins_and_counts):
    expected = np.zeros(24)
    for number, count in bins_and_counts:
        expected[number] = count
    return expected


def test_only_the_upper_half_counts():
    image = np.concatenate([plain((255, 0, 32), (32, 64)), plain((0, 255, 0), (32, 64))])
    np.testing.assert_array_equal(one(image), counts((7, 2048), (8, 2048), (17, 2048)))


def test_frames_are_averaged():
    feature = one(plain((255, 0, 0)), plain((128, 0, 0), (20, 30)))
    np.testing.assert_array_equal(feature, counts((7, 1024), (4, 1024), (8, 2048), (16, 2048)))


@pytest.mark.parametrize("ignore_black, counted", [(True, 1024), (False, 2048)])
def test_black_is_ignored_or_is_a_colour(ignore_black, counted):
    image = plain((90, 90, 90))
    image[:16] = 0
    assert one(image, ignore_black=ignore_black).reshape(3, 8).sum(axis=1).tolist() == [counted] * 3


def test_outside_of_the_mask_nothing_counts():
    mask = np.zeros((64, 64), bool)
    mask[:, :10] = True
    assert one(plain((90, 90, 90)), masks=[mask])[2] == 320
    assert not one(plain((90, 90, 90)), masks=[~mask & mask]).any()


def test_in_lab_twice_the_light_moves_one_channel_only():
    dim, bright = (one(plain(colour), space="lab", bins=32).reshape(3, 32) for colour in ((60, 30, 30), (120, 60, 60)))
    assert dim[0].argmax() != bright[0].argmax() and abs(int(dim[1].argmax()) - int(bright[1].argmax())) <= 2


def test_an_unknown_space_is_named():
    with pytest.raises(InputError, match="space: got 'cmyk', expected one of rgb, lab"):
        one(plain((1, 2, 3)), space="cmyk")


def test_it_equals_opencv_on_an_unmasked_picture():
    image = np.random.default_rng(0).integers(1, 256, (90, 40, 3), np.uint8)
    upper = cv2.resize(image, (64, 64))[:32]
    expected = [cv2.calcHist([upper], [channel], None, [8], [0, 256]).ravel() for channel in range(3)]
    np.testing.assert_array_equal(one(image), np.concatenate(expected))


@pytest.mark.parametrize("bins", [2, 8, 10])
def test_bins_are_those_of_opencv(bins):
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(-1, 3)
    expected = cv2.calcHist([pixels[None]], [0], None, [bins], [0, 256]).ravel()
    found = color_hist.histogram(pixels, bins=bins).reshape(3, bins)
    assert found.tolist() == [expected.tolist()] * 3
