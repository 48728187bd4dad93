"""YOLOv8: what goes in and comes out, and a training that can be broken off."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from ultralytics import YOLO
from ultralytics.data.augment import LetterBox
from ultralytics.engine.results import Results

from runner_reid import networks, tables, weights, yolo
from runner_reid.errors import InputError
from runner_reid.files import sha256
from runner_reid.frames import extract_frames, read_frames
from runner_reid.masks import outward
from runner_reid.sheets import read_sheet

ROOT = Path(__file__).parents[2]
SIDE = 64
TRAINING = {"shared": True, "fit": {"epochs": 2, "seed": 0}}


def examples(generator: np.random.Generator):
    """Pictures of a bright rectangle, without end."""
    while True:
        image = generator.integers(0, 60, (SIDE, SIDE, 3), np.uint8)
        x1, y1 = generator.integers(4, 24, 2)
        x2, y2 = x1 + generator.integers(12, 36), y1 + generator.integers(12, 36)
        image[y1:y2, x1:x2] += 160
        labels = np.zeros((SIDE, SIDE), np.uint8)
        labels[y1:y2, x1:x2] = 1
        yield image, np.array([[x1, y1, x2, y2]], np.float32), labels


# --- in --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "boxes, expected",
    [
        ([], []),
        ([[]], []),
        ([[(0, 0, 64, 32)]], [(0, 0.5, 0.5, 1.0, 1.0)]),
        ([[(16, 8, 32, 16)], [], [(0, 0, 16, 8), (48, 24, 64, 32)]],
         [(0, 0.375, 0.375, 0.25, 0.25), (2, 0.125, 0.125, 0.25, 0.25), (2, 0.875, 0.875, 0.25, 0.25)]),
    ],
    ids=["no box", "empty", "whole picture", "three pictures"],
)  # fmt: skip
def test_a_batch_is_what_the_loss_reads(boxes, expected):
    given = []
    for rows in boxes or [[]]:
        labels = np.zeros((32, 64), np.uint8)
        for number, (x1, y1, x2, y2) in enumerate(rows):
            labels[y1:y2, x1:x2] = number + 1
        given.append((np.full((32, 64, 3), (255, 0, 51), np.uint8), np.array(rows, float).reshape(-1, 4), labels))
    batch = yolo.collate(given, "cpu")
    count = len(given)
    assert batch["img"].shape == (count, 3, 32, 64) and batch["masks"].shape == (count, 8, 16)
    assert batch["img"][0, :, 0, 0].tolist() == pytest.approx([1.0, 0.0, 0.2])
    assert batch["cls"].shape == (len(expected), 1) and not batch["cls"].any()
    found = torch.cat([batch["batch_idx"][:, None], batch["bboxes"]], dim=1)
    assert found.tolist() == [list(row) for row in expected]
    for number, rows in enumerate(boxes):
        assert set(batch["masks"][number].unique().tolist()) - {0} == set(range(1, len(rows) + 1))


# --- out -------------------------------------------------------------------------------------------------------------

SHAPES = [(90, 160), (160, 90), (96, 128), (211, 37), (64, 64), (540, 960)]


def oval(shape: tuple[int, int]) -> np.ndarray:
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    return ((x - shape[1] * 0.4) / shape[1] / 0.3) ** 2 + ((y - shape[0] * 0.55) / shape[0] / 0.35) ** 2 < 1


@pytest.mark.parametrize("auto", [True, False], ids=["least padding", "square"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_mask_of_the_letterboxed_picture_finds_its_place(shape, auto):
    whole = oval(shape)
    drawn = np.repeat(whole[..., None].astype(np.uint8) * 255, 3, axis=2)
    mask = LetterBox((256, 256), auto=auto, stride=32, padding_value=0)(image=drawn)[..., 0] > 127
    box = np.array([shape[1] * 0.2 + 0.3, shape[0] * 0.1, shape[1] * 0.65, shape[0] * 0.95 - 0.4])
    found = yolo._inside(mask, box, shape)
    x1, y1, x2, y2 = outward(box)
    expected = whole[y1:y2, x1:x2]
    assert found.shape == expected.shape and found.dtype == bool
    edge = 4 * max(1, max(shape) / 256) * np.sqrt(whole.sum())
    assert (found != expected).sum() < edge


def results_of(boxes: list[tuple], *, shape=(90, 160), masks: bool = False) -> Results:
    """ultralytics' own result: x1, y1, x2, y2, score, class."""
    data = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 6)
    covered = torch.ones(len(boxes), 36, 64) if masks and boxes else None
    return Results(np.zeros((*shape, 3), np.uint8), "", {0: "person"}, boxes=data, masks=covered)


@pytest.mark.parametrize(
    "boxes, expected",
    [
        ([], []),
        ([(1, 2, 30, 40, 0.3, 0), (50, 2, 90, 40, 0.9, 0)], [(50, 2, 90, 40), (1, 2, 30, 40)]),
        ([(70, 2, 90, 40, 0.5, 0), (50, 2, 60, 40, 0.5, 0)], [(50, 2, 60, 40), (70, 2, 90, 40)]),
        ([(-5, -5, 200, 99, 0.5, 0)], [(0, 0, 160, 90)]),
        ([(160, 2, 170, 40, 0.9, 0), (2, 90, 9, 95, 0.9, 0), (1, 2, 3, 4, 0.5, 0)], [(1, 2, 3, 4)]),
    ],
    ids=["empty", "surest first", "then left to right", "clipped", "outside of the picture"],
)
@pytest.mark.parametrize("masks", [False, True])
def test_detections_lie_in_the_picture(boxes, expected, masks):
    found = yolo._detections(results_of(boxes, masks=masks))
    assert found.xyxy.tolist() == [list(map(float, box)) for box in expected]
    assert found.xyxy.dtype == found.score.dtype == np.float32 and len(found.score) == len(expected)
    shapes = [(int(y2 - y1), int(x2 - x1)) for x1, y1, x2, y2 in expected]
    assert [mask.shape for mask in found.masks] == (shapes if masks else [])


@pytest.mark.parametrize(
    "claims, score, expected",
    [
        ([[3, 3, 3, 1, 0], [0, 0, 0, 2, 2]], [0.9, 0.9], [[1, 1, 1, 0, 0], [0, 0, 0, 1, 1]]),
        ([[3, 3, 3, 1, 0], [0, 0, 0, 2, 2]], [0.9, 0.3], [[1, 1, 1, 1, 0], [0, 0, 0, 1, 1]]),
        ([[3, 3, 3, 3, 3], [4, 4, 4, 4, 0]], [0.9, 0.8], [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]]),
        ([[1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], [0.9, 0.8], [[1, 1, 0, 0, 0], [0, 0, 0, 0, 0]]),
    ],
    ids=["the surer has it", "who is hardly found takes nothing", "found twice", "no claim"],
)
def test_masks_that_overlap_are_parted(claims, score, expected):
    masks = yolo.one_each(torch.tensor(claims, dtype=torch.float32)[:, None], torch.tensor(score))
    assert masks[:, 0].int().tolist() == expected


@pytest.fixture(scope="module")
def state():
    """Random weights of the segmenter."""
    networks.seed_everything(0)
    return yolo.build("yolov8n-seg").state_dict()


@pytest.mark.parametrize("shape", SHAPES)
def test_any_shape_of_picture_can_be_looked_at(state, shape):
    network = yolo.predictor("yolov8n-seg", state)
    images = list(np.random.default_rng(0).integers(0, 255, (2, *shape, 3), np.uint8))
    choices = {"size": 64, "match_iou": 0.7, "device": "cpu"}
    found = yolo.detect(network, images, min_score=0.0, **choices)
    again = yolo.detect(yolo.predictor("yolov8n-seg", state), images, min_score=0.0, **choices)
    assert len(found) == 2 and all(len(detections.score) for detections in found)
    for one, other in zip(found, again, strict=True):
        assert np.array_equal(one.xyxy, other.xyxy) and np.array_equal(one.score, other.score)
        assert (one.xyxy[:, 2:] <= np.array(shape)[::-1]).all() and (np.diff(one.score) <= 0).all()
        for box, mask in zip(one.xyxy, one.masks, strict=True):
            x1, y1, x2, y2 = outward(box)
            assert mask.shape == (y2 - y1, x2 - x1)
    assert [len(detections.score) for detections in yolo.detect(network, images, min_score=1.0, **choices)] == [0, 0]


# --- weights ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path, state):
    """Our own weights, saved with their card."""
    card = {"name": "persons", "command": "make", "params": TRAINING, "data": [], "scores": {}}
    weights.save_weights(tmp_path / "persons.pt", state, card=card)
    return tmp_path / "persons.pt"


@pytest.mark.parametrize("sha", ["", "0" * 64])
def test_our_own_weights_need_no_pin(own, sha):
    network = yolo.load("yolov8n-seg", str(own), sha256=sha, training=TRAINING)
    assert network.names == {0: "person"}


@pytest.mark.parametrize(
    "training, says",
    [
        ({**TRAINING, "shared": False}, "trained with shared = true, got shared = false"),
        ({"shared": True, "fit": {"epochs": 3, "seed": 0}}, "trained with fit.epochs = 2, got fit.epochs = 3"),
        ({}, "got fit.epochs = nothing"),
    ],
)
def test_weights_of_other_params_are_refused_by_name(own, training, says):
    with pytest.raises(InputError, match=says):
        yolo.load("yolov8n-seg", str(own), sha256="", training=training)


@pytest.fixture(scope="module")
def pickled(tmp_path_factory):
    """A checkpoint as ultralytics writes it: a pickle."""
    path = tmp_path_factory.mktemp("pickled") / "foreign.pt"
    YOLO("yolov8n.yaml", verbose=False).save(path)
    return path


@pytest.mark.parametrize("sha, says", [("", "a pinned sha256 .loading a pickle runs code"), ("0" * 64, "sha256 0000")])
def test_a_pickle_nobody_pinned_is_refused(pickled, sha, says):
    with pytest.raises(InputError, match=f"expected {says}.*got {sha256(pickled)}"):
        yolo.load("yolov8n", str(pickled), sha256=sha, training=TRAINING)


def test_a_pinned_pickle_is_loaded(pickled):
    network = yolo.load("yolov8n", str(pickled), sha256=sha256(pickled), training=TRAINING)
    images = [np.zeros((48, 64, 3), np.uint8)]
    found = yolo.detect(network, images, size=64, min_score=0.99, match_iou=0.7, device="cpu")
    assert found[0].xyxy.shape == (0, 4) and found[0].masks == []


def test_weights_that_are_not_there_are_told(tmp_path):
    with pytest.raises(InputError, match=r"none\.pt: expected pickled weights, found no file"):
        yolo.load("yolov8n", str(tmp_path / "none.pt"), sha256="0" * 64, training=TRAINING)


# --- training --------------------------------------------------------------------------------------------------------

FIT = {
    "epochs": 2,
    "batch": 2,
    "learning_rate": 0.002,
    "weight_decay": 0.0005,
    "batches_per_epoch": 1,
    "precision": "float32",
}


def train(folder, *, architecture="yolov8n-seg", initial=None, stop=None, seed=0):
    """Train and give the weights and the history; stop: break off after so many epochs and start again."""
    choices = {**FIT, "seed": seed, "device": "cpu", "checkpoint": folder / "a.checkpoint", "fingerprint": "a"}
    if stop is not None:
        _, rows = yolo.train(architecture, initial or {}, examples, **choices)
        for _ in range(stop):
            next(rows)
        rows.close()
        torch.rand(7)
    model, rows = yolo.train(architecture, initial or {}, examples, **choices)
    rows = list(rows)
    return model.state_dict(), [{name: row[name] for name in row if name != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(tmp_path_factory.mktemp("trained"))


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_mask_to_learn_from_lies_where_the_person_is():
    """The coarse mask of a person at any place has, on average, the centre of the fine one."""
    offsets = []
    for shift in range(16):
        labels = np.zeros((64, 64), np.uint8)
        labels[shift : shift + 21, 2 * shift : 2 * shift + 13] = 1
        coarse = yolo.collate([(np.zeros((64, 64, 3), np.uint8), np.zeros((0, 4), np.float32), labels)], "cpu")["masks"]
        fine, found = np.argwhere(labels).mean(0) + 0.5, np.argwhere(coarse[0].numpy()).mean(0) + 0.5
        offsets.append(4 * found - fine)
    assert np.abs(np.mean(offsets, axis=0)).max() < 0.6


def test_a_training_has_a_history(trained, state):
    _, rows = trained
    assert [row["epoch"] for row in rows] == [0, 1]
    assert all(np.isfinite(list(row.values())).all() and row["loss"] > 0 for row in rows)
    assert {"box_loss", "seg_loss", "cls_loss", "dfl_loss"} <= set(rows[0])
    assert not same(trained[0], state)


@pytest.mark.parametrize("stop", [None, 1], ids=["again", "broken off"])
def test_the_same_training_gives_the_same_weights(tmp_path, trained, stop):
    assert same(train(tmp_path, stop=stop)[0], trained[0])


def test_what_fits_is_taken_over(tmp_path, trained):
    """The shoe detector starts from the segmenter: backbone and neck are taken over, the heads differ."""
    model, rows = yolo.train(
        "yolov8n", trained[0], examples, **{**FIT, "epochs": 1}, seed=1, device="cpu",
        checkpoint=tmp_path / "a.checkpoint", fingerprint="",
    )  # fmt: skip
    begun = model.state_dict()
    taken = [name for name in begun if name in trained[0] and torch.equal(begun[name], trained[0][name])]
    assert len(taken) > 0.8 * len(begun)
    assert "seg_loss" not in next(rows)


# --- real material ---------------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_a_public_segmenter_finds_the_runner(shared, params):
    path = shared / "data/weights/yolov8n-seg_dequant.pt"
    pinned = read_sheet(ROOT / "data/sources.tsv").set_index("path")["sha256"]["data/weights/yolov8n-seg_dequant.pt"]
    network = yolo.load("yolov8n-seg", str(path), sha256=pinned, training={})
    video = shared / "data/videos/passes/runner_once.mp4"
    frames = tables.FRAMES.check(extract_frames([video], **params["frames"]))
    wanted = frames.filter("selected").filter(pl.int_range(pl.len()).is_in([6, 15, 24]))
    centres = []
    for _, image in read_frames([video], wanted):
        [found] = yolo.detect(network, [image], size=480, min_score=0.4, match_iou=0.7, device="cpu")
        assert len(found.score) >= 1
        x1, y1, x2, y2 = found.xyxy[0]
        assert y2 - y1 > 0.3 * image.shape[0] and y2 - y1 > x2 - x1
        assert 0.2 < found.masks[0].mean() < 0.95
        centres.append((x1 + x2) / 2)
    assert np.all(np.diff(centres) > 20) or np.all(np.diff(centres) < -20)
