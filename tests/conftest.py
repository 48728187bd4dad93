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

from runner_reid import tables
from runner_reid.crops import encode_crop
from runner_reid.frames import extract_frames, read_frames
from runner_reid.masks import decode_mask, outward
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
    small = {"duration_s": 4, "fps": 15, "width": 320, "height": 180, "runners": 2, "sub_frames": 1, "seed": 7}
    given = params["practice"]["camera"] | params["practice"]["videos"]["day"] | small
    truth = render_practice(path, **given)
    return Practice(path, extract_frames([path], **params["frames"]), truth)


@dataclass(frozen=True)
class Found:
    """What is found in the practice: tables PERSONS and TRACKS, and the file of crops (PERSON_CROPS)."""

    persons: pl.DataFrame
    tracks: pl.DataFrame
    crops_path: Path


@pytest.fixture(scope="session")
def found(practice, tmp_path_factory) -> Found:
    """The practice as a perfect segmenter and tracker would see it, and cut out."""
    folder = tmp_path_factory.mktemp("found")
    everyone = practice.truth.persons.sort("frame", "passage").with_columns(
        person=pl.int_range(pl.len()).over("frame").cast(pl.Int16), score=pl.lit(0.9, pl.Float32)
    )
    cuts = {}
    for frame, image in read_frames([practice.path], practice.frames):
        for row in everyone.filter(pl.col("frame") == frame).iter_rows(named=True):
            x1, y1, x2, y2 = outward(np.array([row[edge] for edge in ("x1", "y1", "x2", "y2")]))
            mask = decode_mask(row["mask"], np.array([x1, y1, x2, y2]))
            cuts[frame, row["person"]] = encode_crop(image[y1:y2, x1:x2], mask, max_height=256, quality=90)
    tables.PERSON_CROPS.write(
        tables.PERSON_CROPS.frame([{"frame": f, "person": p, "image": cut} for (f, p), cut in cuts.items()]),
        folder / "person_crops.parquet",
    )
    return Found(
        everyone.select(tables.PERSONS.schema.names()),
        everyone.select("frame", "person", track="passage"),
        folder / "person_crops.parquet",
    )
