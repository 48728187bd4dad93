"""Masks inside boxes."""

import numpy as np
import pytest

from runner_reid.masks import decode_mask, encode_mask, outward


@pytest.mark.parametrize(
    "box, expected",
    [
        ((0, 0, 0, 0), (0, 0, 1, 1)),
        ((3, 4, 5, 9), (3, 4, 5, 9)),
        ((3.2, 4.9, 5.1, 8.01), (3, 4, 6, 9)),
        ((3.2, 4.9, 3.4, 4.95), (3, 4, 4, 5)),
        ((-1.5, -0.2, 2.0, 3.0), (-2, -1, 2, 3)),
    ],
)
def test_a_box_is_rounded_outwards(box, expected):
    assert outward(np.array(box)) == outward(np.array(box, np.float32)) == expected


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("box", [(0, 0, 1, 1), (2.5, 3.5, 9.25, 30.75), (10, 4, 12, 5)])
def test_a_mask_round_trips_with_its_box(share, box):
    x1, y1, x2, y2 = outward(np.array(box))
    mask = np.random.default_rng(0).random((y2 - y1, x2 - x1)) < share
    found = decode_mask(encode_mask(mask), box)
    assert found.dtype == bool and np.array_equal(found, mask)
    assert encode_mask(mask.astype(np.uint8)) == encode_mask(mask) == encode_mask(np.asfortranarray(mask))
