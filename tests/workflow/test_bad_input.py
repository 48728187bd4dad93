"""What a user gives that cannot be used: one line that says so, and a non-zero exit."""

import json
import shutil
import wave

import av
import numpy as np
import polars as pl
import pytest
import torch

from runner_reid.practice import render_practice


@pytest.fixture(scope="module")
def nobody(tmp_path_factory):
    """A practice that nobody came to."""
    path = tmp_path_factory.mktemp("nobody") / "nobody.mp4"
    choices = {"condition": "day", "seed": 5, "duration_s": 4, "fps": 30, "width": 480, "height": 270}
    render_practice(path, **choices, runners=0, crowd=1, sub_frames=1)
    return path


def audio_only(path):
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(b"\0\0" * 8000)


def errors(done) -> list[str]:
    """The distinct lines that begin with `error:`."""
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    return sorted({line for line in lines if line.startswith("error: ")})


@pytest.mark.parametrize(
    "kind, says",
    [
        ("missing", ["no such file", "files"]),
        ("empty", ["0 bytes", "copy it again"]),
        ("truncated", ["cannot be", "copy it again"]),
        ("text", ["cannot be opened as video"]),
        ("audio", ["audio stream only", "expected a video stream"]),
        ("nobody", ["no person was found", "expected a video with people"]),
    ],
)
def test_a_file_that_is_no_usable_video(project, nobody, kind, says):
    path = project.folder / "broken.mp4"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        path.write_bytes(nobody.read_bytes()[: nobody.stat().st_size // 2])
    elif kind == "text":
        path.write_text("no video\n" * 100)
    elif kind == "audio":
        audio_only(path)
    elif kind == "nobody":
        shutil.copy(nobody, path)
    project.row("broken", str(path))
    done = project.snakemake("results/broken/runners.parquet")
    assert done.returncode != 0
    (line,) = errors(done)
    assert all(part in line for part in says), line


def test_an_unknown_parameter(project):
    project.overlay({"scenes": {"min_sped": 2.0}})
    done = project.snakemake("results/eval_tiny.json", dry=True)
    assert done.returncode != 0
    assert errors(done) == [
        "error: params: scenes: 'min_sped' is not known (did you mean 'min_speed'?); correct it and run again"
    ]


@pytest.mark.parametrize(
    "row, says",
    [
        ("only\ttwo", ["line 3 has 2 cells", "expected 7"]),
        ("tiny\ta.mp4\tday\ttest\t30\tfile\t", ["'tiny' stands in two rows"]),
        ("a/b\ta.mp4\tday\ttest\t30\tfile\t", ["row 3: video", "'a/b' does not match"]),
        ("b\ta.mp4\tday\texam\t30\tfile\t", ["row 3: role", "'exam' is not one of"]),
        ("b\ta.mp4\tday\ttest\tlong\tfile\t", ["row 3: min_lap_s", "'long' does not match"]),
    ],
)
def test_a_sheet_with_a_bad_row(project, row, says):
    with (project.folder / "sheet.tsv").open("a") as sheet:
        sheet.write(row + "\n")
    done = project.snakemake("results/eval_tiny.json", dry=True)
    assert done.returncode != 0
    (line,) = errors(done)
    assert all(part in line for part in says), line


@pytest.mark.parametrize(
    "content, says",
    [(b"not weights", ["pinned", "source"]), (None, ["pinned", "source"])],
    ids=["corrupt", "unpinned pickle"],
)
def test_weights_that_cannot_be_trusted(project, nobody, content, says):
    weights = project.folder / "foreign.pt"
    torch.save({"model": np.float64(1)}, weights) if content is None else weights.write_bytes(content)
    project.overlay({"pretrained": {"persons": str(weights)}})
    project.row("empty", str(nobody))
    done = project.snakemake("results/empty/parts/persons.1-of-4.parquet")
    assert done.returncode != 0
    (line,) = errors(done)
    assert all(part in line for part in says), line


def test_own_weights_that_are_damaged(project, nobody):
    (project.folder / "data/weights").unlink()
    folder = project.folder / "data/weights/all"
    folder.mkdir(parents=True)
    (folder / "persons.pt").write_bytes(b"half a file")
    (folder / "persons.json").write_text(
        json.dumps({"name": "", "command": "", "params": {}, "data": [], "scores": {}, "sha256": "0"})
    )
    project.row("empty", str(nobody))
    done = project.snakemake("results/empty/parts/persons.1-of-4.parquet")
    assert done.returncode != 0
    (line,) = errors(done)
    assert "persons.pt" in line and "remove" in line


def test_a_single_scene_of_a_single_runner_is_an_answer(project):
    lonely = {"condition": "day", "seed": 3, "duration_s": 9, "runners": 1, "crowd": 1}
    project.overlay({"practice": {"videos": {"tiny": lonely}}})
    done = project.snakemake("results/eval_tiny.json")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((project.folder / "results/eval_tiny.json").read_text())
    assert result["scenes"]["matched"] <= 1
    assert result["systems"]["hist"]["strict"] == {
        "mAP": None,
        "mAP_ci95": None,
        "rank1": None,
        "rank5": None,
        "mINP": None,
        "queries": 0,
    }


def test_a_rotated_phone_video_is_turned_upright(project, nobody):
    """The display matrix says a quarter turn: width and height change places."""
    turned = project.folder / "turned.mp4"
    data = bytearray(nobody.read_bytes())
    unity = (0x00010000).to_bytes(4, "big")
    matrix = unity + bytes(12) + unity + bytes(12) + (0x40000000).to_bytes(4, "big")
    at = data.index(matrix, data.index(b"tkhd"))
    quarter = bytes(4) + unity + bytes(4) + (0xFFFF0000).to_bytes(4, "big") + bytes(16) + matrix[32:]
    data[at : at + 36] = quarter
    turned.write_bytes(bytes(data))
    with av.open(str(turned)) as container:
        assert next(container.decode(video=0)).rotation % 180 == 90
    project.row("turned", str(turned))
    assert project.snakemake("results/turned/frames.parquet").returncode == 0
    frames = pl.read_parquet(project.folder / "results/turned/frames.parquet")
    assert frames.select("width", "height").unique().rows() == [(270, 480)]
