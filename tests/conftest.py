"""What all tests share: choices, real material, tiny videos."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import polars as pl
import pytest
import yaml

from runner_reid.frames import extract_frames
from runner_reid.practice import Truth, render_practice

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def params() -> dict:
    """Every choice of params.yaml."""
    return yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.fixture(scope="session")
def shared() -> Path:
    """The mirror folder with real material: $RUNNER_REID_MIRROR, or `shared` beside the repository."""
    folder = Path(os.environ.get("RUNNER_REID_MIRROR") or ROOT.parent / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"needs real material: set RUNNER_REID_MIRROR to a folder that holds data/ (looked in {folder})")
    return folder


@pytest.fixture(scope="session")
def write_video():
    """A function that writes pictures to a video file."""
    return _write_video


def _write_video(
    path: Path,
    pictures: Iterable[np.ndarray],
    *,
    fps: int = 30,
    times_s: Iterable[float] | None = None,
    codec: str = "libx264",
    **options: str,
) -> Path:
    """Write (H, W, 3) uint8 RGB pictures to `path`.

    times_s: when each is shown (to the millisecond), else `fps` a second. options: of the encoder (g, bf, ..).
    """
    tick = Fraction(1, 1000) if times_s is not None else Fraction(1, fps)
    stamps = None if times_s is None else [round(time_s * 1000) for time_s in times_s]
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream(codec, rate=fps, options={"threads": "1", **options})
        for number, picture in enumerate(pictures):
            if not number:
                stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], "yuv420p"
                stream.codec_context.time_base = tick
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = stamps[number] if stamps else number, tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@dataclass(frozen=True)
class Practice:
    """A rendered practice: its video, its frames (table FRAMES) and its truth."""

    path: Path
    frames: pl.DataFrame
    truth: Truth


@pytest.fixture(scope="session")
def practice(tmp_path_factory, params) -> Practice:
    """Four seconds of practice by day, small."""
    path = tmp_path_factory.mktemp("practice") / "practice.mp4"
    truth = render_practice(
        path, condition="day", seed=7, duration_s=4, fps=15, width=320, height=180, runners=2, sub_frames=1
    )
    return Practice(path, extract_frames([path], **params["frames"]), truth)
