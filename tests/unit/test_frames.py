"""Decoding: the times of any camera's file, which frames are looked at, and exactly the wanted ones."""

import functools
import logging
import shutil
import wave
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from runner_reid import frames, tables
from runner_reid.errors import InputError

COUNT = 150
HEIGHT, WIDTH = 96, 160
BITS = 8
GROUPS = "scenecut=0:b-adapt=0:keyint=20:min-keyint=20"
FORMATS = {
    "closed groups": ("mp4", "libx264", {"bf": "3", "x264-params": GROUPS}),
    "open groups": ("mp4", "libx264", {"bf": "3", "x264-params": f"{GROUPS}:open-gop=1"}),
    "hevc": ("mp4", "libx265", {"preset": "ultrafast", "x265-params": "log-level=none:keyint=20:min-keyint=20"}),
    "mov": ("mov", "mpeg4", {}),
    "mkv": ("mkv", "libx264", {"x264-params": GROUPS}),
    "camcorder": ("ts", "libx264", {"bf": "2", "x264-params": GROUPS}),
    "avi": ("avi", "mpeg4", {}),
    "avi with B-frames": ("avi", "libx264", {"bf": "2", "x264-params": GROUPS}),
}


def picture_of(number: int) -> np.ndarray:
    """A picture with a number painted into it: a column for each bit."""
    bits = [255 * (number >> bit & 1) for bit in range(BITS)]
    columns = np.repeat(np.array(bits, np.uint8), WIDTH // BITS)
    return np.broadcast_to(columns[None, :, None], (HEIGHT, WIDTH, 3)).copy()


def number_in(picture: np.ndarray) -> int:
    columns = picture.reshape(HEIGHT, BITS, WIDTH // BITS, 3)[..., 4:-4, :].mean(axis=(0, 2, 3))
    return sum(1 << bit for bit, value in enumerate(columns) if value > 128)


@pytest.fixture(scope="module")
def numbered(tmp_path_factory, write_video):
    """A function that gives a video of numbered pictures in one of FORMATS."""
    folder = tmp_path_factory.mktemp("numbered")

    @functools.cache
    def video(name: str) -> Path:
        suffix, codec, options = FORMATS[name]
        return write_video(folder / f"{name}.{suffix}", map(picture_of, range(COUNT)), codec=codec, **options)

    return video


@pytest.fixture(scope="module")
def extract(params):
    return lambda *paths, **changes: frames.extract_frames(list(paths), **{**params["frames"], **changes})


@pytest.fixture(scope="module")
def listed(numbered, extract):
    """A function that gives the frames of a video of numbered pictures."""
    return functools.cache(lambda name: extract(numbered(name)))


# --- times -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_every_frame_is_listed_at_its_time(listed, name):
    table = tables.FRAMES.check(listed(name))
    assert table["frame"].to_list() == table["file_frame"].to_list() == list(range(COUNT))
    assert set(table["width"]) == {WIDTH} and set(table["height"]) == {HEIGHT} and set(table["file"]) == {0}
    np.testing.assert_allclose(table["time_s"], np.arange(COUNT) / 30, atol=0.0011)


@pytest.mark.parametrize(
    "times_s",
    [
        [0.0],
        np.cumsum([0, *[0.033, 0.034, 0.033, 0.067] * 10]),
        np.cumsum([0, *[1 / 60] * 20, 0.5, *[1 / 24] * 20]).round(3),
        2 + np.arange(30) / 25,
    ],
    ids=["one frame", "drops frames", "changes its rate", "starts late"],
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_variable_rate_keeps_its_times(tmp_path, write_video, extract, times_s, suffix):
    path = write_video(tmp_path / f"phone.{suffix}", map(picture_of, range(len(times_s))), times_s=times_s, bf="2")
    table = tables.FRAMES.check(extract(path))
    np.testing.assert_allclose(table["time_s"], np.array(times_s) - times_s[0], atol=0.0011)
    assert [number_in(image) for _, image in frames.read_frames([path], table)] == list(range(len(times_s)))


def test_clips_follow_one_another(numbered, tmp_path, write_video, extract):
    single = write_video(tmp_path / "single.mp4", [picture_of(7)])
    files = [numbered("avi"), single, numbered("mkv")]
    table = tables.FRAMES.check(extract(*files, gap_s=100.0))
    assert table["frame"].to_list() == list(range(2 * COUNT + 1))
    starts = table.group_by("file", maintain_order=True).first()
    assert starts["file"].to_list() == [0, 1, 2] and starts["file_frame"].to_list() == [0, 0, 0]
    assert starts["time_s"].to_list() == pytest.approx([0, 105, 205], abs=0.05)
    wanted = table.filter(pl.col("frame").is_in([3, COUNT, COUNT + 1 + 120]))
    found = {frame: number_in(image) for frame, image in frames.read_frames(files, wanted)}
    assert found == {3: 3, COUNT: 7, COUNT + 1 + 120: 120}


# --- upright ---------------------------------------------------------------------------------------------------------

CLOCKWISE = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
"""The matrix (a, b, c, d) of a QuickTime track header that turns stored pictures by so many degrees for showing."""


def turn(path: Path, degrees: int) -> None:
    """Write a rotation into the track header of an mp4 file, as a phone does."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in CLOCKWISE[degrees])
    for place, value in zip((0, 1, 3, 4), (a, b, c, d), strict=True):
        data[matrix + 4 * place : matrix + 4 * place + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(data)


@pytest.mark.parametrize("degrees", CLOCKWISE)
def test_a_phone_video_is_upright(tmp_path, write_video, extract, degrees):
    upright = np.zeros((128, 64, 3), np.uint8)
    upright[:64, :32] = 255
    upright[64:, 32:] = 90
    path = write_video(tmp_path / "phone.mp4", [np.rot90(upright, k=degrees // 90)] * 5)
    turn(path, degrees)
    table = extract(path)
    assert set(table["width"]) == {64} and set(table["height"]) == {128}
    for _, image in frames.read_frames([path], table):
        assert image.shape == upright.shape and image.dtype == np.uint8
        assert np.abs(image.astype(int) - upright).mean() < 6


# --- selected --------------------------------------------------------------------------------------------------------


def film(moving: range, *, noise: float = 4.0, flicker: float = 0.0, count: int = 90):
    """Grey noisy pictures; in the frames `moving` a bright figure crosses."""
    rng = np.random.default_rng(0)
    scenery = rng.uniform(60, 160, (12, 20)).repeat(15, axis=0).repeat(16, axis=1)
    for number in range(count):
        picture = scenery * (1 + flicker * np.sin(number)) + rng.normal(0, noise, scenery.shape)
        if number in moving:
            left = 20 + 260 * (number - moving.start) // len(moving)
            picture[80:130, left : left + 18] = 230
        yield np.clip(picture, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)


@pytest.mark.parametrize(
    "given, margin_s, selected",
    [
        ({"moving": range(0)}, 0.3, set()),
        ({"moving": range(0), "noise": 12.0}, 0.3, set()),
        ({"moving": range(0), "flicker": 0.08}, 0.3, set()),
        ({"moving": range(30, 50)}, 0.0, set(range(30, 50))),
        ({"moving": range(30, 50)}, 0.3, set(range(21, 59))),
        ({"moving": range(30, 50), "noise": 12.0}, 0.3, set(range(21, 59))),
        ({"moving": range(80, 90)}, 0.3, set(range(71, 90))),
    ],
    ids=["empty", "noisy", "flickers", "moves", "margin", "moves in noise", "at the end"],
)
def test_frames_are_selected_where_something_moves(tmp_path, write_video, extract, given, margin_s, selected):
    path = write_video(tmp_path / "film.mp4", film(**given), crf="18", preset="ultrafast")
    table = extract(path, margin_s=margin_s)
    assert set(table.filter("selected")["frame"]) == selected
    assert table["motion"].is_between(0, 1).all()


def test_who_stays_becomes_background(tmp_path, write_video, extract):
    def stays():
        for number in range(120):
            picture = np.full((90, 160, 3), 100, np.uint8)
            if number >= 10:
                picture[30:70, 60:75] = 220
            yield picture

    path = write_video(tmp_path / "stays.mp4", stays())
    short, long = (extract(path, memory_s=memory_s)["selected"].to_numpy() for memory_s in (0.5, 5.0))
    assert short[12] and not short[100:].any() and long.sum() > short.sum()


# --- wanted ----------------------------------------------------------------------------------------------------------

WANTED = {
    "none": [],
    "first": [0],
    "last": [COUNT - 1],
    "over long gaps": [2, 3, 70, 71, 145],
    "before keyframes": [19, 79, 139],
    "every third": range(0, COUNT, 3),
    "all": range(COUNT),
}


@pytest.mark.parametrize("wanted", WANTED.values(), ids=WANTED)
@pytest.mark.parametrize("name", FORMATS)
def test_exactly_the_wanted_frames_are_read(numbered, listed, name, wanted):
    path, table = numbered(name), listed(name)
    found = list(frames.read_frames([path], table.filter(pl.col("frame").is_in(list(wanted)))))
    assert [frame for frame, _ in found] == list(wanted)
    assert [number_in(image) for _, image in found] == list(wanted)
    assert all(image.shape == (HEIGHT, WIDTH, 3) and image.flags.c_contiguous for _, image in found)


@pytest.mark.parametrize("name", ["open groups", "hevc", "camcorder"])
def test_each_frame_by_itself_is_as_in_sequence(numbered, listed, name):
    path, table = numbered(name), listed(name)
    whole = dict(frames.read_frames([path], table))
    for number in range(40, 62):
        [(frame, image)] = frames.read_frames([path], table[number : number + 1])
        assert frame == number and np.array_equal(image, whole[number])


@pytest.mark.parametrize("selected", [[], [4], range(10), range(0, 97, 2)])
@pytest.mark.parametrize("parts", [1, 4])
def test_time_ranges_share_the_selected_frames(selected, parts):
    table = pl.DataFrame({"frame": range(100)}).with_columns(selected=pl.col("frame").is_in(list(selected)))
    shares = [frames.time_range(table, f"{part}-of-{parts}") for part in range(1, parts + 1)]
    assert pl.concat(shares)["frame"].to_list() == list(selected)
    assert max(share.height for share in shares) - min(share.height for share in shares) <= 1


# --- bad input -------------------------------------------------------------------------------------------------------


def sound_only(path, whole):
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 8000, "NONE", ""))
        sound.writeframes(b"\0\0" * 8000)


def without_pictures(path, whole):
    """Everything is there, but the bytes of the pictures are zeros."""
    data = whole.read_bytes()
    start = data.index(b"mdat") + 4
    path.write_bytes(data[:start] + b"\0" * (len(data) - start))


def index_at_its_end(path, whole):
    """The file of a camera whose battery ran out: the index, which stands at the end, was never written."""
    data = whole.read_bytes()
    moov, mdat = data.index(b"moov") - 4, data.index(b"mdat") - 4
    path.write_bytes(data[:moov] + data[mdat : mdat + (len(data) - mdat) // 2])


BAD = {
    "missing": (lambda path, whole: None, "no such video file"),
    "directory": (lambda path, whole: path.mkdir(), "no such video file"),
    "zero bytes": (lambda path, whole: path.touch(), r"empty \(0 bytes\)"),
    "text": (lambda path, whole: path.write_text("no video\n" * 99), "cannot be opened as video"),
    "index missing": (index_at_its_end, "cannot be opened as video"),
    "cut off": (lambda path, whole: path.write_bytes(whole.read_bytes()[:-700]), "cut off: 700 bytes are missing"),
    "cut in its header": (lambda path, whole: path.write_bytes(whole.read_bytes()[:40]), "holds no stream"),
    "pictures damaged": (without_pictures, "cannot be decoded after 0.00 s"),
    "sound only": (sound_only, "holds audio stream only"),
}


@pytest.mark.parametrize("make, says", BAD.values(), ids=BAD)
def test_bad_input_is_told_in_one_line(numbered, extract, tmp_path, make, says):
    path = tmp_path / "bad.mp4"
    make(path, numbered("closed groups"))
    with pytest.raises(InputError, match=says) as error:
        extract(numbered("avi"), path)
    assert "\n" not in str(error.value) and str(path) in str(error.value) and "expected" in str(error.value)


@pytest.mark.parametrize("suffix, codec", [("avi", "libx264"), ("mkv", "libx264"), ("webm", "libvpx")])
def test_a_cut_file_is_told(tmp_path, write_video, extract, suffix, codec):
    path = write_video(tmp_path / f"cut.{suffix}", map(picture_of, range(60)), codec=codec)
    extract(path)
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(InputError, match="cut off: 900 bytes"):
        extract(path)


def test_frames_without_time_stamps_are_told(tmp_path, write_video, extract, caplog):
    path = write_video(tmp_path / "raw.h264", map(picture_of, range(20)))
    with caplog.at_level(logging.WARNING), pytest.raises(InputError, match="no time stamps; expected") as error:
        extract(path)
    assert "\n" not in str(error.value) and "left out 20 frames" in caplog.text


@pytest.mark.parametrize("other", ["shorter", "other times"])
def test_a_changed_file_is_told(tmp_path, write_video, extract, other):
    path = write_video(tmp_path / "a.mp4", map(picture_of, range(90)))
    table = extract(path)
    if other == "shorter":
        write_video(path, map(picture_of, range(50)))
    else:
        write_video(path, map(picture_of, range(90)), times_s=np.arange(90) / 29)
    with pytest.raises(InputError, match="has changed since its frames were listed") as error:
        list(frames.read_frames([path], table))
    assert "\n" not in str(error.value)


def test_what_a_camera_appends_does_not_matter(numbered, extract, tmp_path):
    path = tmp_path / "trailer.mp4"
    shutil.copy(numbered("closed groups"), path)
    with path.open("ab") as file:
        file.write(b"camera's own data, which is no box" * 3)
    assert extract(path).height == COUNT


@pytest.mark.shared
def test_real_files(shared, extract):
    files = [shared / "data/videos/passes/runner_once.mp4", shared / "data/videos/pets09-s2l1/vtest.avi"]
    table = extract(files[0])
    assert table.height == 47 and set(table["width"]) == {480} and table["selected"].sum() > 20
    with frames.open_clip(files[1]) as clip:
        sought = next(clip.decode_from(400))[0]
    assert 0 < sought <= 400
