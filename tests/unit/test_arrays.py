"""NPZ files: their shape is kept, and damage is told."""

import numpy as np
import pytest

from runner_reid.arrays import ARRAYS, FEATURES, RANKING, SIMILARITY
from runner_reid.errors import InputError

LAP = {"min_lap_s": np.array(60.0), "recurrence_s": np.array(np.nan)}
NIGHT = {"video": np.array("night")}
SCENE = np.array([0, 2, 5])
FEATURE = np.random.default_rng(0).random((3, 20), np.float32)


@pytest.mark.parametrize("kind", ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("count", [0, 1, 4])
def test_each_kind_round_trips(tmp_path, kind, count):
    types = {"i": np.int32, "f": np.float32, "b": np.bool_, "U": np.dtype("U5")}
    given = {
        name: np.ones([{"N": count, "D": 3}[axis] for axis in axes], types[letter])
        for name, (letter, axes) in kind.arrays.items()
    }
    kind.write(tmp_path / "a.npz", **given)
    found = kind.read(tmp_path / "a.npz", scene=given["scene"])
    assert set(found) == set(given)
    assert all(np.array_equal(found[name], given[name]) and found[name].dtype == given[name].dtype for name in given)


def test_the_same_arrays_give_the_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        FEATURES.write(tmp_path / name, scene=SCENE, feature=FEATURE)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize(
    "kind, given, says",
    [
        (FEATURES, {}, r"expected \['feature', 'scene'\], got \[\]"),
        (FEATURES, {"scene": SCENE}, "got .'scene'."),
        (FEATURES, {"scene": SCENE, "feature": FEATURE, "more": SCENE}, "'more'"),
        (FEATURES, {"scene": SCENE[:2], "feature": FEATURE}, r"feature of kind f .*got float32 \(3, 20\)"),
        (FEATURES, {"scene": SCENE.astype(float), "feature": FEATURE}, "scene of kind i .*got float64"),
        (FEATURES, {"scene": SCENE, "feature": FEATURE[0]}, "axes"),
        (FEATURES, {"scene": SCENE, "feature": FEATURE.astype(object)}, "got object"),
        (SIMILARITY, NIGHT | {"scene": SCENE, "similarity": FEATURE}, "similarity of kind f"),
        (RANKING, LAP | {"scene": SCENE, "similarity": np.eye(3), "allowed": np.eye(3)}, "allowed of kind b"),
        (
            RANKING,
            LAP | {"scene": SCENE, "similarity": np.eye(3), "allowed": np.eye(3) > 0, "min_lap_s": np.ones(1)},
            "axes",
        ),
    ],
)
def test_another_shape_is_refused_and_leaves_the_old_file(tmp_path, kind, given, says):
    (tmp_path / "a.npz").write_bytes(b"old")
    with pytest.raises(InputError, match=f"arrays {kind.name}: .*{says}"):
        kind.write(tmp_path / "a.npz", **given)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize(
    "scene, says",
    [
        (np.array([], int), "scene 0 is in one only"),
        (SCENE[:2], "scene 5 is in one only"),
        (SCENE[::-1], "in another order"),
        (SCENE + 1, "scene 0 is in one only"),
    ],
)
def test_rows_stand_for_the_scenes_of_the_table(tmp_path, scene, says):
    FEATURES.write(tmp_path / "a.npz", scene=SCENE, feature=FEATURE)
    with pytest.raises(
        InputError, match=rf"its \d+ scenes are not those of the table of scenes, which has \d+ .{says}"
    ):
        FEATURES.read(tmp_path / "a.npz", scene=scene)


def test_similarities_of_another_video_are_told(tmp_path):
    """Scenes are numbered alike in every video, and two videos may have as many."""
    path = tmp_path / "a.npz"
    SIMILARITY.write(path, **NIGHT, scene=SCENE, similarity=np.eye(3))
    assert str(SIMILARITY.read(path, scene=SCENE, video="night")["video"]) == "night"
    with pytest.raises(InputError, match=r"a\.npz: is of video 'night'; expected 'day'; delete it and run again"):
        SIMILARITY.read(path, scene=SCENE, video="day")


def test_another_kind_of_file_is_told(tmp_path):
    path = tmp_path / "a.npz"
    SIMILARITY.write(path, **NIGHT, scene=SCENE, similarity=np.eye(3))
    with pytest.raises(InputError, match=f"{path}: arrays features: expected .*; delete it and run again"):
        FEATURES.read(path)
    with path.open("wb") as file:
        np.save(file, SCENE)
    with pytest.raises(InputError, match=f"{path}: expected an NPZ file features"):
        FEATURES.read(path)


@pytest.mark.parametrize("content", [b"", b"no arrays\n" * 20, b"PK\x03\x04"], ids=["zero bytes", "text", "half"])
def test_no_npz_file_is_told(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz: expected an NPZ file features .*delete it"):
        FEATURES.read(tmp_path / "a.npz")


def test_a_pickle_is_never_opened(tmp_path):
    np.savez(tmp_path / "a.npz", scene=SCENE, feature=np.array([print], object))
    with pytest.raises(InputError, match="expected an NPZ file features"):
        FEATURES.read(tmp_path / "a.npz")


def test_any_flipped_byte_is_told_or_harmless(tmp_path):
    path = tmp_path / "a.npz"
    FEATURES.write(path, scene=SCENE, feature=FEATURE)
    data = path.read_bytes()
    told = 0
    for place in range(0, len(data), 3):
        path.write_bytes(data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :])
        try:
            assert np.array_equal(FEATURES.read(path)["feature"], FEATURE)
        except InputError as error:
            told += "\n" not in str(error)
    assert told > len(data) / 3 / 2
