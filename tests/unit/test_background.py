"""The sibling of the segmenter: what moves in front of a still picture."""

import numpy as np
import polars as pl
import pytest

from runner_reid.background import moving_things
from runner_reid.evaluation import BOX
from runner_reid.frames import extract_frames, read_frames

CHOICES = {"samples": 15, "min_difference": 18, "close": 0.02, "min_height": 0.12, "min_fill": 0.2}
SHAPE = (120, 200)
GROUND = np.random.default_rng(0).integers(60, 90, (*SHAPE, 3), np.uint8)


def picture(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """The ground, with a bright block per box (x1, y1, x2, y2)."""
    image = GROUND.copy()
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = (220, 40, 40)
    return image


def walk(frame: int) -> tuple[int, int, int, int]:
    return 10 + 5 * frame, 40, 30 + 5 * frame, 90


@pytest.fixture
def found(tmp_path, write_video, params):
    """A function that films blocks and finds them again in every frame."""

    def find(film, **changes):
        path = write_video(tmp_path / "film.mp4", [picture(*boxes) for boxes in film], crf="4", bf="0")
        frames = extract_frames([path], **params["frames"])
        pictures = [image for _, image in read_frames([path], frames)]
        return moving_things([path], frames, **{**CHOICES, **changes})(pictures)

    return find


@pytest.mark.parametrize(
    "film",
    [
        [[]] * 5,
        [[walk(frame)] for frame in range(30)],
        [[walk(frame), (175, 5 + 3 * frame, 190, 40 + 3 * frame)] for frame in range(25)],
    ],
    ids=["nobody", "one", "two"],
)
def test_what_moves_is_found_where_it_is(found, film):
    for boxes, detections in zip(film, found(film), strict=True):
        assert len(detections.xyxy) == len(boxes) == len(detections.masks)
        for box, mask in zip(sorted(detections.xyxy.tolist()), detections.masks, strict=True):
            np.testing.assert_allclose(box, min(boxes, key=lambda true: abs(true[0] - box[0])), atol=3)
            assert mask.mean() > 0.8
        assert (detections.score == 1).all()


@pytest.mark.parametrize(
    "changes, count", [({}, 1), ({"min_height": 0.6}, 0), ({"min_difference": 250}, 0), ({"min_fill": 1.1}, 0)]
)
def test_choices(found, changes, count):
    assert {len(detections.xyxy) for detections in found([[walk(frame)] for frame in range(20)], **changes)} == {count}


def test_rendered_runners_are_found(practice):
    """Alone and whole in the picture, a runner's box is the true one."""
    alone = practice.truth.persons.filter((pl.len().over("frame") == 1) & (pl.col("visible") > 0.9))
    frames = practice.frames.filter("selected")
    find = moving_things([practice.path], frames, **CHOICES)
    wanted = frames.join(alone.select("frame"), on="frame", how="semi")
    true = dict(zip(alone["frame"], alone.select(BOX).to_numpy(), strict=True))
    overlaps = []
    for frame, image in read_frames([practice.path], wanted):
        [detections] = find([image])
        low, high = (
            np.maximum(detections.xyxy[:, :2], true[frame][:2]),
            np.minimum(detections.xyxy[:, 2:], true[frame][2:]),
        )
        both = (high - low).clip(0).prod(axis=1)
        areas = [(box[..., 2:] - box[..., :2]).prod(axis=-1) for box in (detections.xyxy, true[frame])]
        overlaps.append((both / (areas[0] + areas[1] - both)).max(initial=0))
    assert len(overlaps) > 5 and np.median(overlaps) > 0.6
