"""What was released, as our own tables."""

import numpy as np
import polars as pl
import pytest

from runner_reid.errors import InputError
from runner_reid.labels import read_labels
from runner_reid.published import import_published
from runner_reid.tables import SCENES


@pytest.fixture
def released(tmp_path):
    """A folder with two scenes; the first frames of both are the same, a lap of 3,600 frames apart is not."""
    (tmp_path / "scene.txt").write_text("0,60,181,runner1\n1,60,181,sprinter1\n2,3660,3800,runner1\n")
    (tmp_path / "gt_full.txt").write_text("runner1,3\n")
    np.save(tmp_path / "gru.npy", np.arange(6, dtype=np.float32).reshape(3, 2))
    return tmp_path


def read(folder):
    return import_published(folder / "scene.txt", folder / "gt_full.txt", {"gru": folder / "gru.npy"})


def test_scenes_features_and_labels(released):
    found = read(released)
    SCENES.check(found.scenes)
    assert found.scenes["first_frame"].to_list() == [60, 60, 3660]
    assert found.scenes["start_s"].to_list() == [1.0, 1.0, 61.0]
    assert found.features["gru"].tolist() == [[0, 1], [2, 3], [4, 5]]
    (released / "passes.tsv").write_text(found.passes)
    (released / "appearances.tsv").write_text(found.appearances)
    labels = read_labels([released / "passes.tsv", released / "appearances.tsv"], [], [], [], np.zeros(0))
    assert labels.passes["runner"].to_list() == ["runner1", "sprinter1", "runner1"]
    assert labels.passes["start_s"].to_list() == found.scenes["start_s"].to_list()
    assert labels.passes["end_s"].to_list() == found.scenes["end_s"].to_list()
    assert labels.appearances == {"runner1": 3} and labels.boxes is None


def test_no_scenes(tmp_path):
    (tmp_path / "scene.txt").write_text("")
    (tmp_path / "gt_full.txt").write_text("")
    np.save(tmp_path / "gru.npy", np.zeros((0, 2), np.float32))
    found = read(tmp_path)
    assert found.scenes.height == 0 and SCENES.check(found.scenes) is found.scenes


@pytest.mark.parametrize(
    "name, content, says",
    [
        ("scene.txt", b"0,60,181\n", "scene.txt: line 1 is '0,60,181'; expected number,first frame"),
        ("scene.txt", b"0,60,x,runner1\n", "scene.txt: line 1"),
        (
            "scene.txt",
            b"0,1,2,runner1\n",
            "gru.npy: has float32 .3, 2.; expected a row of floats for each of the 1 scenes",
        ),
        ("gt_full.txt", b"runner1\n", "gt_full.txt: line 1 is 'runner1'; expected runner,passages"),
        ("gru.npy", b"half", "gru.npy: cannot be read as .npy"),
    ],
)
def test_files_that_are_not_like_this(released, name, content, says):
    (released / name).write_bytes(content)
    with pytest.raises(InputError, match=says) as error:
        read(released)
    assert "\n" not in str(error.value) and ";" in str(error.value)


def test_unknown_speed_and_cadence_are_nan(released):
    assert read(released).scenes.select(pl.col("speed", "cadence").is_nan().all()).row(0) == (True, True)
