"""Cut-outs: what they keep, and in which order they come."""

import cv2
import numpy as np
import polars as pl
import pytest

from runner_reid import crops, tables
from runner_reid.errors import InputError


def figure(height: int, width: int, value: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """A smooth picture and an oval mask."""
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([np.full((height, width), value), 255 * x // width, 255 * y // height], axis=-1).astype(np.uint8)
    mask = ((x + 0.5) / width - 0.5) ** 2 + ((y + 0.5) / height - 0.5) ** 2 < 0.2
    return image, mask


@pytest.mark.parametrize(
    "shape, max_height, expected",
    [
        ((1, 1), 256, (1, 1)),
        ((60, 30), 256, (60, 30)),
        ((60, 30), 60, (60, 30)),
        ((60, 31), 30, (30, 16)),
        ((600, 1), 100, (100, 1)),
    ],
)
def test_a_crop_keeps_its_picture_and_its_mask(shape, max_height, expected):
    image, mask = figure(*shape)
    found, alpha = crops.decode_crop(crops.encode_crop(image, mask, max_height=max_height, quality=95))
    assert found.shape == (*expected, 3) and found.dtype == np.uint8 and alpha.dtype == bool
    assert not found[~alpha].any()
    if shape == expected:
        assert np.array_equal(alpha, mask)
        assert np.abs(found[mask].astype(int) - image[mask]).mean() < 8


@pytest.mark.parametrize("mask", [np.zeros((20, 10), bool), np.ones((20, 10), bool)], ids=["nobody", "everything"])
def test_masks_without_an_edge(mask):
    found, alpha = crops.decode_crop(crops.encode_crop(figure(20, 10)[0], mask, max_height=99, quality=90))
    assert np.array_equal(alpha, mask) and found.any() == mask.any()


def test_a_larger_quality_costs_bytes():
    image, mask = figure(200, 100)
    image = np.random.default_rng(0).integers(0, 255, image.shape, np.uint8)
    sizes = [len(crops.encode_crop(image, mask, max_height=256, quality=quality)) for quality in (10, 50, 90)]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_without_alpha_are_whole(channels):
    image = figure(20, 10)[0][..., :channels]
    found, mask = crops.decode_crop(cv2.imencode(".png", image)[1].tobytes())
    assert found.shape == (20, 10, 3) and mask.all()
    assert np.array_equal(found[..., ::-1][..., :channels], image)


@pytest.mark.parametrize("image", [b"", b"no picture"])
def test_what_is_no_picture_is_told(image):
    with pytest.raises(InputError, match=f"a crop of {len(image)} bytes is no image"):
        crops.decode_crop(image)


COUNT = 40


@pytest.fixture
def crops_path(tmp_path):
    """Two persons in each of COUNT frames; the picture tells the frame by its red, the person by its height."""
    path = tmp_path / "person_crops.parquet"
    with tables.PERSON_CROPS.writer(path) as writer:
        for frame in range(COUNT):
            images = [figure(10 + person, 8, 5 * frame)[0] for person in (0, 1)]
            codes = [
                crops.encode_crop(image, np.ones(image.shape[:2], bool), max_height=99, quality=100) for image in images
            ]
            writer.append(tables.PERSON_CROPS.frame({"frame": [frame] * 2, "person": [0, 1], "image": codes}))
    return path


def seen(image: np.ndarray) -> tuple[int, int]:
    return round(float(image[..., 0].mean()) / 5), image.shape[0] - 10


@pytest.mark.parametrize("wanted", [[], [(3, 1)], [(39, 0), (0, 1), (0, 0)]])
def test_wanted_crops_come_with_their_row(crops_path, wanted):
    rows = tables.RUNNERS.frame([{"frame": f, "person": p, "score": 0.5} for f, p in wanted])
    found = list(crops.read_person_crops(crops_path, rows))
    assert [(row["frame"], row["person"]) for row, _, _ in found] == sorted(wanted)
    for row, image, mask in found:
        assert seen(image) == (row["frame"], row["person"]) and mask.shape == image.shape[:2]
        assert row["score"] == 0.5 and "image" not in row


def sequences(scenes: dict[int, list[tuple[int, int]]]) -> pl.DataFrame:
    return tables.SEQUENCES.frame(
        [
            {"scene": scene, "position": position, "frame": frame, "person": person}
            for scene, members in scenes.items()
            for position, (frame, person) in enumerate(members)
        ]
    )


@pytest.mark.parametrize(
    "scenes, order",
    [
        ({}, []),
        ({4: [(2, 0)]}, [4]),
        ({0: [(1, 0), (2, 0), (30, 0)], 1: [(1, 1), (2, 1)]}, [1, 0]),
        ({7: [(5, 0), (3, 1), (4, 0)]}, [7]),
    ],
    ids=["empty", "one", "one ends inside the other", "positions go before frames"],
)
def test_a_scene_comes_once_it_is_complete(crops_path, scenes, order):
    found = list(crops.read_person_scenes(crops_path, sequences(scenes)))
    assert [scene.scene for scene in found] == order
    for scene in found:
        assert [seen(image) for image in scene.images] == scenes[scene.scene]
        assert [mask.shape for mask in scene.masks] == [image.shape[:2] for image in scene.images]


@pytest.mark.parametrize("lacking", [[(COUNT, 0)], [(3, 0), (COUNT, 1)]], ids=["all of it", "a part of it"])
def test_lacking_crops_are_told(crops_path, lacking):
    with pytest.raises(InputError, match=r"lacks crops of scenes \[9\]"):
        list(crops.read_person_scenes(crops_path, sequences({2: [(1, 0)], 9: lacking})))


@pytest.mark.parametrize("shoes", [[], [(0, 0), (3, 0), (3, 1)]])
def test_shoe_scenes(tmp_path, shoes):
    image, mask = figure(12, 20)
    code = crops.encode_crop(image, mask, max_height=99, quality=95)
    rows = [{"scene": scene, "rank": rank, "image": code} for scene, rank in shoes]
    tables.SHOE_CROPS.write(tables.SHOE_CROPS.frame(rows), tmp_path / "shoe_crops.parquet")
    found = list(crops.read_shoe_scenes(tmp_path / "shoe_crops.parquet"))
    assert [(scene.scene, len(scene.images)) for scene in found] == [(0, 1), (3, 2)][: len(shoes)]
    assert all(np.array_equal(mask, found_mask) for scene in found for found_mask in scene.masks)
