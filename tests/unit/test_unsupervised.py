"""The frame of unsupervised re-ID: who is drawn, what is kept, what is told."""

import json
import logging

import numpy as np
import pytest
import torch

from runner_reid import extractors, models, tables, unsupervised
from runner_reid.augmentation import vary_pictures
from runner_reid.crops import SceneCrops, encode_crop
from runner_reid.errors import InputError

CPU = torch.device("cpu")
FOUND = {"k1": 9, "k2": 3, "eps": 0.7, "min_samples": 4}
"""With these the people of `scenes` are the clusters."""
METHODS = ["hhcl", "spcl", "ice", "pplr"]


def scenes(people: int = 4, each: int = 3, frames: int = 3) -> list[SceneCrops]:
    """Crops of people who differ in colour: person p in the scenes p, p + people, ..."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (people, 3))
    made = []
    for number in range(people * each):
        noise = rng.integers(-20, 20, (frames, 40, 20, 3))
        images = list(np.clip(colours[number % people] + noise, 0, 255).astype(np.uint8))
        made.append(SceneCrops(number, images, [np.ones((40, 20), bool)] * frames, camera=number // people % 2))
    return made


def train(method, checkpoint, given=None, **changes):
    choices = extractors.get(method).EXAMPLE_TRAINING
    for name, change in changes.items():
        choices = choices | {name: choices[name] | change if isinstance(change, dict) else change}
    own = {"seed": 0, "device": CPU, "checkpoint": checkpoint, "fingerprint": ""}
    return extractors.get(method).train(scenes() if given is None else given, **choices, **own)


@pytest.mark.parametrize("method", METHODS)
def test_a_broken_run_ends_as_an_unbroken_one(method, tmp_path):
    longer = {"schedule": {"epochs": 3, "step": 1, "warm_up": 2, "warm_up_start": 0.1}}
    model, rows, _ = train(method, tmp_path / "unbroken", **longer)
    history = list(rows)
    _, rows, _ = train(method, tmp_path / "broken", **longer)
    next(rows)
    rows.close()
    torch.rand(3)
    again, rows, picture = train(method, tmp_path / "broken", **longer)
    for row, before in zip(rows, history, strict=True):
        assert {**row, "seconds": 0} == {**before, "seconds": 0}
    state = model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.state_dict().items())
    assert picture().dtype == np.uint8 and picture().ndim == 3


@pytest.mark.parametrize("method", METHODS)
def test_cameras_are_used_where_there_are_any(method, tmp_path):
    """By ICE and PPLR in their loss; by all in the choice of batches, if asked."""
    one = [SceneCrops(scene.scene, scene.images, scene.masks) for scene in scenes()]
    for name, asked, differs in (("a", False, method in ("ice", "pplr")), ("b", True, True)):
        runs = []
        for place, given in enumerate((scenes(), one)):
            model, rows, _ = train(method, tmp_path / f"{name}{place}", given, batches={"by_camera": asked})
            list(rows)
            runs.append(model.state_dict())
        same = all(torch.equal(runs[0][key], runs[1][key]) for key in runs[0])
        assert same != differs, (asked, differs)


@pytest.mark.parametrize("method", METHODS)
def test_it_learns(method, tmp_path):
    losses = []
    for iterations in (2, 30):
        changes = {"schedule": {"iterations": iterations}, "augment": {"erase": 0.0}, "clusters": FOUND}
        row = next(train(method, tmp_path / str(iterations), **changes)[1])
        assert row["clusters"] == 4
        losses.append(row["loss"])
    assert losses[1] < losses[0]


def test_labels_are_not_read(tmp_path):
    """A set of pictures with wrong identities gives the same weights."""
    made = scenes(frames=1)
    crops = [encode_crop(one.images[0], one.masks[0], max_height=64, quality=90) for one in made]
    count = range(len(made))
    empty = [0] * len(made)
    for name, rows in {
        "person_crops": {"frame": count, "person": empty, "image": crops},
        "sequences": {"scene": count, "position": empty, "frame": count, "person": empty},
    }.items():
        tables.TABLES[name].write(tables.TABLES[name].frame(rows), tmp_path / f"{name}.parquet")
    weights = []
    for right in (True, False):
        identity = [one.scene % 4 + 1 if right else 7 for one in made]
        known = {"scene": count, "name": [str(i) for i in count], "identity": identity}
        known |= {"camera": [one.camera for one in made], "query": [False] * len(made)}
        images = tmp_path / f"images_{right}.parquet"
        tables.IMAGES.write(tables.IMAGES.frame(known), images)
        run = models.Run("cpu", tmp_path / f"checkpoint_{right}", "")
        paths = {"sequences": str(tmp_path / "sequences.parquet"), "crops": str(tmp_path / "person_crops.parquet")}
        fit = extractors.get("hhcl").EXAMPLE_TRAINING | {"seed": 0}
        model, rows, *_ = models.train_extractor(
            [paths], cameras=[str(images)], method="hhcl", crops="person", fit=fit, run=run
        )
        list(rows)
        weights.append(model.state_dict())
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_progress_tells_of_clusters(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        history = list(train("hhcl", tmp_path / "c", clusters=FOUND)[1])
    assert {"epoch", "loss", "clusters", "outliers", "learning_rate", "seconds"} == set(history[0])
    assert "clusters 4  outliers 0" in caplog.text and "s left" in caplog.text
    assert json.dumps(history)


@pytest.mark.parametrize(
    "given, changes, message",
    [
        ([], {}, "got 0 pictures, expected 2 x 2"),
        (scenes(1, 1), {}, "got 3 pictures, expected 2 x 2"),
        (scenes(1, 4), {"clusters": {"k1": 12, "eps": 0.99}}, "found 1 clusters in 12 pictures.*lower clusters.eps"),
        (scenes(), {"clusters": {"min_samples": 30}}, "found 0 clusters in 36.*raise clusters.eps"),
        (scenes(), {"precision": {"learn": "float16"}}, "precision.learn: got 'float16'"),
        (scenes(), {"resize": "nearest"}, "resize: got 'nearest'"),
        (scenes(), {"network": {"initial": "no/such.pth"}}, "network.initial: got 'no/such.pth'"),
    ],
)
def test_what_cannot_be_learnt_from_is_told(tmp_path, given, changes, message):
    with pytest.raises(InputError, match=message) as error:
        list(train("hhcl", tmp_path / "c", given, **changes)[1])
    assert "\n" not in str(error.value)


def test_spcl_learns_where_all_are_outliers(tmp_path):
    """Its classes of one picture are enough: the stated fallback."""
    row = next(train("spcl", tmp_path / "c", clusters={"min_samples": 30})[1])
    assert row["clusters"] == 0 and row["outliers"] == 36


def draw(label, camera=None, **changes):
    label = np.array(label)
    camera = np.zeros(len(label), int) if camera is None else np.array(camera)
    choices = {"count": 20, "clusters": 3, "each": 4, "by_camera": False} | changes
    return label, list(unsupervised.draw_batches(label, camera, np.random.default_rng(0), **choices))


def test_a_batch_is_some_of_each_of_some_clusters():
    label, batches = draw(np.repeat(np.arange(6), 5).tolist() + [-1] * 7)
    assert [len(rows) for rows in batches] == [12] * 20
    for rows in batches:
        assert (label[rows] >= 0).all()
        for start in range(0, 12, 4):
            group = rows[start : start + 4]
            assert len(set(group.tolist())) == 4 and len(set(label[group].tolist())) == 1
    assert len(set(np.concatenate(batches).tolist())) == 30


def test_small_clusters_repeat_and_single_pictures_do_not():
    label, batches = draw([0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
    for rows in batches:
        assert len(rows) == 12
    drawn = np.bincount(label[np.concatenate(batches)])
    assert drawn[0] / drawn[1:].mean() == pytest.approx(4, rel=0.1) and drawn[1:].max() - drawn[1:].min() <= 1


def test_other_cameras_come_first():
    label, batches = draw([0] * 8 + [1] * 8 + [2] * 4, [0, 1] * 4 + [0] * 7 + [1] + [0] * 4, by_camera=True)
    camera = np.array([0, 1] * 4 + [0] * 7 + [1] + [0] * 4)
    for rows in batches:
        for start in range(0, 12, 4):
            first, *others = rows[start : start + 4]
            if (camera[label == label[first]] != camera[first]).any():
                assert (camera[others] != camera[first]).all()


def test_the_rate_warms_up_and_steps_down():
    choices = {"epochs": 9, "iterations": 1, "learning_rate": 1.0, "weight_decay": 0.0}
    plan = unsupervised.Schedule(**choices, step=4, factor=0.1, warm_up=2, warm_up_start=0.2)
    assert [plan.rate(epoch) for epoch in range(9)] == pytest.approx([0.2, 0.6, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01])
    plain = unsupervised.Schedule(**choices, step=4, factor=1.0, warm_up=0, warm_up_start=0.2)
    assert {plain.rate(epoch) for epoch in range(9)} == {1.0}


def test_a_teacher_follows_slowly():
    teacher, student = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    expected = 0.9 * teacher.weight.detach() + 0.1 * student.weight.detach()
    with torch.no_grad():
        unsupervised.follow(teacher, student, 0.9)
    torch.testing.assert_close(teacher.weight.detach(), expected)


def test_pictures_vary_as_asked():
    images = np.random.default_rng(0).integers(1, 255, (60, 32, 16, 3), np.uint8)
    generator = np.random.default_rng(1)
    nothing = {"flip": 0.0, "pad": 0, "erase": 0.0, "blur": 0.0}
    np.testing.assert_array_equal(vary_pictures(images, generator, **nothing), images)
    flipped = vary_pictures(images, generator, **nothing | {"flip": 1.0})
    np.testing.assert_array_equal(flipped, images[:, :, ::-1])
    half = (vary_pictures(images, generator, **nothing | {"flip": 0.5}) == images).all((1, 2, 3)).mean()
    assert 0.2 < half < 0.8
    padded = vary_pictures(images, generator, **nothing | {"pad": 3})
    black = (padded == 0).all(-1)
    assert black.any((1, 2)).mean() > 0.8 and black.all(2).sum(1).max() <= 3
    erased = (vary_pictures(images, generator, **nothing | {"erase": 1.0}) != images).any(-1).mean((1, 2))
    assert (erased > 0).mean() > 0.9 and erased.max() < 0.5 and 0.1 < erased.mean() < 0.3
    blurred = vary_pictures(images, generator, **nothing | {"blur": 1.0}).astype(float)
    assert blurred.std((1, 2)).mean() < 0.8 * images.std((1, 2)).mean()
