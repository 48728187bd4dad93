"""Shoes: cut out of whom they belong to, the clearest of a scene; and what the detector learns from."""

import itertools

import cv2
import numpy as np
import polars as pl
import pytest

from runner_reid import networks, shoes, tables, yolo
from runner_reid.crops import decode_crop
from runner_reid.errors import InputError
from runner_reid.frames import extract_frames
from runner_reid.masks import encode_mask

HEIGHT, WIDTH = 120, 200
CHOICES = {
    "method": "yolov8", "yolov8": {"size": 96, "min_score": 0.25, "match_iou": 0.6}, "feet": {"share": 0.17},
    "frames_per_scene": 12, "shoes_per_scene": 1, "margin": 0.1, "min_owned": 0.2, "batch": 3, "quality": 95,
    "weights": "red", "sha256": "", "training": {}, "device": "cpu",
}  # fmt: skip
SHOE = (10, 50, 24, 60)
"""Where a person of 30 x 60 pixels wears a shoe."""


def picture(people: list[tuple[int, int, int]], strange: tuple[int, int, int] | None = None) -> np.ndarray:
    """Dark; per person (left, upper, red of the shoe) a grey body with one red shoe; strange: a shoe of nobody."""
    image = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
    for left, upper, red in people:
        image[upper : upper + 60, left : left + 30] = 90
        x1, y1, x2, y2 = SHOE
        image[upper + y1 : upper + y2, left + x1 : left + x2] = (red, 0, 0)
    if strange:
        left, upper, red = strange
        image[upper : upper + 8, left : left + 9] = (red, 0, 0)
    return image


def red_things(network, images, *, size, min_score, match_iou, device):
    """A detector without weights: every red block, the more red the surer."""
    assert network == "red" and device == "cpu" and all(image.shape == (size, size, 3) for image in images)
    detections = []
    for image in images:
        red = image[..., 0].astype(float) - image[..., 1:].max(axis=2)
        count, labels, stats, _ = cv2.connectedComponentsWithStats((red > 40).astype(np.uint8))
        rows = [(red[labels == i].max() / 255, *stats[i][:4]) for i in range(1, count) if stats[i][4] > 20]
        rows = sorted((row for row in rows if row[0] >= min_score), reverse=True)
        boxes = np.array([(x, y, x + w, y + h) for _, x, y, w, h in rows], np.float32).reshape(-1, 4)
        detections.append(yolo.Detections(boxes, np.array([row[0] for row in rows], np.float32), []))
    return detections


@pytest.fixture
def detected(tmp_path, write_video, monkeypatch, params):
    """A function that films people, all of one scene each, and detects their shoes."""
    monkeypatch.setattr(yolo, "load", lambda architecture, path, **_: path)
    monkeypatch.setattr(yolo, "detect", red_things)

    def detect(film: list[list[tuple]], *, strange: dict[int, tuple] | None = None, **changes):
        pictures = [picture(people, (strange or {}).get(frame)) for frame, people in enumerate(film)]
        path = write_video(tmp_path / "film.mp4", pictures, crf="4", preset="ultrafast", bf="0")
        frames = extract_frames([path], **params["frames"])
        rows, members = [], []
        for frame, people in enumerate(film):
            for person, (left, upper, _) in enumerate(people):
                box = {"x1": left, "y1": upper, "x2": left + 30, "y2": upper + 60}
                rows.append({"frame": frame, "person": person, **box, "score": 0.9})
                rows[-1]["mask"] = encode_mask(np.ones((60, 30), bool))
                members.append({"scene": person, "position": frame, "frame": frame, "person": person})
        found, cut_out = shoes.detect_shoes(
            [path], frames, tables.PERSONS.frame(rows), tables.SEQUENCES.frame(members), **{**CHOICES, **changes}
        )
        assert found["scene"].to_list() == cut_out["scene"].to_list()
        return tables.SHOES.check(found), tables.SHOE_CROPS.check(cut_out)

    return detect


@pytest.mark.parametrize(
    "film, best",
    [
        ([[]], {}),
        ([[(50, 30, 20)]], {}),
        ([[(50, 30, 200)]], {0: 0}),
        ([[(50, 30, 120)], [(60, 30, 240)], [(70, 30, 180)]], {0: 1}),
        ([[(20, 30, 120), (120, 30, 240)], [(30, 30, 200), (110, 30, 160)]], {0: 1, 1: 0}),
        ([[(20, 30, 20), (120, 30, 240)]], {1: 0}),
        ([[(0, 60, 200)]], {0: 0}),
    ],
    ids=["nobody", "no shoe", "one", "the clearest", "two runners", "one of two", "in the corner"],
)
def test_the_clearest_shoe_of_each_scene(detected, film, best):
    found, cut_out = detected(film)
    assert dict(zip(found["scene"], found["frame"], strict=True)) == best
    for row, image in zip(found.iter_rows(named=True), cut_out["image"], strict=True):
        left, upper, _ = film[row["frame"]][row["person"]]
        box = np.array([row[edge] for edge in ("x1", "y1", "x2", "y2")])
        np.testing.assert_allclose(box, np.array(SHOE) + np.tile((left, upper), 2), atol=2.5)
        shoe, _ = decode_crop(image)
        assert abs(shoe.shape[0] - 10) <= 4 and abs(shoe.shape[1] - 14) <= 4
        assert shoe[2:-2, 3:-3, 0].mean() > 3 * shoe[2:-2, 3:-3, 1].mean()


def test_several_shoes_of_a_scene_stand_by_clearness(detected):
    found, cut_out = detected([[(50, 30, 120)], [(60, 30, 240)], [(70, 30, 180)]], shoes_per_scene=2)
    assert found.select("scene", "rank", "frame").rows() == [(0, 0, 1), (0, 1, 2)]
    assert cut_out.select("scene", "rank").rows() == [(0, 0), (0, 1)]


@pytest.mark.parametrize("min_owned, frames", [(0.0, [0]), (0.6, [1]), (1.01, [])])
def test_other_peoples_shoes_are_refused(detected, min_owned, frames):
    """In frame 0 a brighter shoe that is nobody's lies within the runner's crop."""
    film, strange = [[(50, 40, 120)], [(60, 40, 140)]], {0: (54, 26, 250)}
    assert detected(film, strange=strange, min_owned=min_owned, margin=0.3)[0]["frame"].to_list() == frames


@pytest.mark.parametrize("batch", [1, 2, 50])
def test_crops_in_memory_do_not_change_the_shoe(detected, batch):
    film = [[(20 + 5 * i, 30, 120 + 10 * i)] for i in range(7)]
    found, _ = detected(film, batch=batch)
    assert found["frame"].to_list() == [6]


@pytest.mark.parametrize(
    "lengths, frames_per_scene, expected",
    [
        ([], 12, []),
        ([1], 12, [[0]]),
        ([5], 12, [[0, 1, 2, 3, 4]]),
        ([12, 3], 4, [[0, 3, 6, 9], [0, 1, 2]]),
        ([47], 1, [[0]]),
        ([10], 3, [[0, 4, 7]]),
        ([3000], 50, [list(range(0, 3000, 60))]),
    ],
)
def test_frames_are_spread_evenly(lengths, frames_per_scene, expected):
    rows = [(scene, place) for scene, length in enumerate(lengths) for place in range(length)]
    sequences = tables.SEQUENCES.frame(
        {"scene": [r[0] for r in rows], "position": [r[1] for r in rows]}
        | {"frame": [r[1] for r in rows], "person": [0] * len(rows)}
    )
    spread = shoes._spread(sequences, frames_per_scene)
    assert [part["position"].to_list() for part in spread.partition_by("scene", maintain_order=True)] == expected


@pytest.mark.parametrize(
    "box, expected",
    [
        ((110, 210, 120, 220), 1.0),
        ((95, 200, 105, 210), 0.5),
        ((100, 235, 110, 245), 0.5),
        ((0, 0, 10, 10), 0.0),
        ((200, 210, 210, 220), 0.0),
        ((115, 210, 125, 220), 0.5),
    ],
)
def test_how_much_of_a_box_is_owned(box, expected):
    """The person's box is 100..130 x 200..240, and the mask its left two thirds."""
    mask = np.zeros((40, 30), bool)
    mask[:, :20] = True
    row = {"x1": 100.0, "y1": 200.0, "x2": 130.0, "y2": 240.0, "mask": encode_mask(mask)}
    assert shoes._owned(np.array(box, float), row) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(60, 30), (30, 60), (1, 400), (96, 96), (300, 200)])
def test_a_square_holds_the_whole_picture(shape):
    image = np.full((*shape, 3), 200, np.uint8)
    canvas, scale = shoes.square(image, 96)
    assert canvas.shape == (96, 96, 3) and scale == 96 / max(shape)
    height, width = (max(1, round(length * scale)) for length in shape)
    assert (canvas[:height, :width] == 200).all()
    assert (canvas[height:] == 114).all() and (canvas[:, width:] == 114).all()


@pytest.mark.parametrize(
    "box, margin, corner, shape",
    [
        ((50, 30, 80, 90), 0.0, (50, 30), (60, 30)),
        ((50, 30, 80, 90), 0.1, (44, 24), (72, 42)),
        ((2, 3, 32, 63), 0.1, (0, 0), (69, 38)),
        ((180, 80, 200, 120), 0.1, (176, 76), (44, 24)),
        ((50.5, 30.5, 80.5, 90.5), 0.0, (50, 30), (61, 31)),
    ],
)
def test_a_crop_is_widened_within_the_picture(tmp_path, write_video, params, box, margin, corner, shape):
    path = write_video(tmp_path / "film.mp4", [picture([])] * 2)
    frames = extract_frames([path], **params["frames"])
    wanted = pl.DataFrame({"frame": pl.Series([1], dtype=pl.Int32), "name": ["kim"]}).with_columns(
        **{edge: pl.lit(float(value)) for edge, value in zip(("x1", "y1", "x2", "y2"), box, strict=True)}
    )
    [(row, cut, at)] = shoes.runner_cuts([path], frames, wanted, margin=margin)
    assert row["name"] == "kim" and at.tolist() == list(corner) and cut.shape == (*shape, 3)


def in_scenes(persons: pl.DataFrame) -> pl.DataFrame:
    """SEQUENCES in which each person's number is its scene."""
    scene, position = pl.col("person").cast(pl.Int32), pl.int_range(pl.len()).over("person").cast(pl.Int16)
    rows = persons.with_columns(scene=scene, position=position)
    return tables.SEQUENCES.frame(rows.select("scene", "position", "frame", "person").to_dict(as_series=False))


def test_a_real_network_fits_in(practice, found, monkeypatch):
    networks.seed_everything(0)
    network = yolo.predictor("yolov8n", yolo.build("yolov8n").state_dict())
    monkeypatch.setattr(yolo, "load", lambda *_, **__: network)
    sequences = in_scenes(found.persons.filter(pl.col("frame").is_between(25, 28)))
    choices = {**CHOICES, "yolov8": {**CHOICES["yolov8"], "min_score": 0.0}}
    rows, cut_out = shoes.detect_shoes([practice.path], practice.frames, found.persons, sequences, **choices)
    assert tables.SHOES.check(rows).height == tables.SHOE_CROPS.check(cut_out).height


def test_feet_are_where_shoes_are(practice, found):
    """Without weights: half of the boxes or more hold a true shoe."""
    sequences = in_scenes(found.persons.filter(pl.col("frame").is_between(20, 60)))
    choices = {**CHOICES, "method": "feet", "feet": {"share": 0.09}, "weights": []}
    rows, _ = shoes.detect_shoes([practice.path], practice.frames, found.persons, sequences, **choices)
    assert rows.height == sequences["scene"].n_unique()
    true = rows.join(practice.truth.shoes, on="frame", suffix="_true")
    middle = {axis: (pl.col(f"{axis}1_true") + pl.col(f"{axis}2_true")) / 2 for axis in "xy"}
    held = true.filter(
        middle["x"].is_between(pl.col("x1") - 2, pl.col("x2") + 2)
        & middle["y"].is_between(pl.col("y1") - 2, pl.col("y2") + 2)
    )
    assert held["scene"].n_unique() >= 0.5 * rows.height


def test_an_unknown_method_is_named(practice, found):
    with pytest.raises(InputError, match=r"shoes\.method: got 'paws', expected one of yolov8, feet"):
        shoes.detect_shoes([practice.path], practice.frames, found.persons, None, **{**CHOICES, "method": "paws"})


# --- what it learns from ---------------------------------------------------------------------------------------------


def pictures_of(practice, **changes):
    choices = {"crops_per_video": 12, "margin": 0.08, "size": 96, "seed": 0, **changes}
    truth = practice.truth
    return shoes.training_pictures([([practice.path], practice.frames, truth.persons, truth.shoes)], **choices)


def test_pictures_hold_the_shoes_of_a_runner(practice):
    pictures = pictures_of(practice)
    assert len(pictures) == 12 and sum(len(boxes) for _, boxes, _ in pictures) > 12
    for image, boxes, labels in pictures:
        assert image.shape == (96, 96, 3) and not labels.any() and boxes.shape == (len(boxes), 4)
        assert (boxes >= 0).all() and (boxes <= 96).all() and (boxes[:, 2:] > boxes[:, :2]).all()
        if len(boxes):
            assert boxes[:, 3].max() > 60


@pytest.mark.parametrize("crops_per_video, runners", [(0, True), (12, False)])
def test_no_pictures_of_nobody(practice, crops_per_video, runners):
    truth = practice.truth
    people = truth.persons if runners else truth.persons.clear()
    video = ([practice.path], practice.frames, people, truth.shoes)
    assert shoes.training_pictures([video], crops_per_video=crops_per_video, margin=0.1, size=96, seed=0) == []


def squares(pictures, count=30, seed=0, **changes):
    choices = {"min_scale": 0.7, "max_scale": 1.3, **changes}
    return list(itertools.islice(shoes.training_squares(pictures, **choices)(np.random.default_rng(seed)), count))


def test_squares_follow_their_pictures():
    image = np.full((96, 96, 3), 30, np.uint8)
    image[60:72, 40:64] = 200
    whole = 0
    given = (image, np.array([[40, 60, 64, 72]], np.float32), np.zeros((96, 96), np.uint8))
    for moved, boxes, labels in squares([given]):
        assert moved.shape == (96, 96, 3) and labels.shape == (96, 96)
        grey = moved.mean(axis=2)
        for x1, y1, x2, y2 in boxes.round().astype(int):
            if 4 < x1 < x2 < 92 and 4 < y1 < y2 < 92:
                whole += 1
                inner = grey[y1 + 3 : y2 - 3, x1 + 3 : x2 - 3].mean()
                assert inner > 1.2 * grey[y1 + 3 : y2 - 3, x1 - 4 : x1 - 2].mean()
                assert inner > 1.2 * grey[y1 + 3 : y2 - 3, x2 + 2 : x2 + 4].mean()
    assert whole > 15


def test_squares_without_shoes_are_empty():
    blank = (np.zeros((96, 96, 3), np.uint8), np.zeros((0, 4), np.float32), np.zeros((96, 96), np.uint8))
    assert all(boxes.shape == (0, 4) for _, boxes, _ in squares([blank]))
