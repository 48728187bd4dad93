"""Step 1: decode, and choose the frames anyone could be in. No frame is ever written to disk."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import polars as pl

from runner_reid import tables
from runner_reid.errors import InputError

log = logging.getLogger(__name__)

SEEK_S = 2.0
"""A gap between wanted frames longer than this is jumped over by seeking; a shorter one is decoded through."""


@dataclass
class Clip:
    """One open video file."""

    path: Path
    container: av.container.InputContainer
    stream: av.VideoStream

    def decode(self) -> Iterator[av.VideoFrame]:
        """Frames in order of presentation, with their time stamps. Raises InputError where the file breaks off."""
        time_s = 0.0
        try:
            for frame in self.container.decode(self.stream):
                if frame.pts is not None:
                    time_s = float(frame.pts * self.stream.time_base)
                    yield frame
        except av.FFmpegError as error:
            raise InputError(
                f"{self.path}: cannot be decoded after {time_s:.2f} s ({error.strerror}); expected a whole video file; "
                "copy it again from the camera, or cut off the damaged end"
            ) from error


class open_clip:  # noqa: N801 - reads as a function in `with open_clip(path) as clip`
    """Open a video file for decoding on all cores. Raises InputError that says what is wrong with the file."""

    def __init__(self, path: str | Path):
        self._path = Path(path)

    def __enter__(self) -> Clip:
        path = self._path
        if not path.is_file():
            raise InputError(f"{path}: no such video file; expected the path of the sheet's column `files` to exist")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty (0 bytes); expected a video; copy it again from the camera")
        try:
            self._container = av.open(str(path))
        except av.FFmpegError as error:
            raise InputError(
                f"{path}: cannot be opened as video ({error.strerror}); expected a complete mp4, mov, avi or mkv file; "
                "if the recording was cut short, copy it again from the camera"
            ) from error
        if not self._container.streams.video:
            kinds = ", ".join(sorted({stream.type for stream in self._container.streams})) or "no"
            self._container.close()
            raise InputError(f"{path}: holds {kinds} stream only; expected a video stream")
        stream = self._container.streams.video[0]
        stream.thread_type = "AUTO"
        return Clip(path, self._container, stream)

    def __exit__(self, *_: object) -> None:
        self._container.close()


def extract_frames(
    files: list[Path],
    *,
    gap_s: float,
    height: int,
    memory_s: float,
    min_difference: float,
    block: int,
    min_motion: float,
    margin_s: float,
) -> pl.DataFrame:
    """Every frame of a session with its time, its motion and whether anyone could be in it (table FRAMES).

    files: in order; each clip starts `gap_s` seconds after the last ended.
    height: pixels the picture is shrunk to for measuring; larger sees smaller people and costs time.
    memory_s: time constant of the adapting background; larger forgets a person who stands later.
    min_difference: grey levels a pixel must differ from the background, over three times the picture's own noise.
    block: pixels of one block's side, in the shrunk picture.
    min_motion: share of moving pixels in the busiest block from which a frame counts; larger selects fewer frames.
    margin_s: frames this close to a counted one are selected too.
    """
    parts, start_s = [], 0.0
    for number, path in enumerate(files):
        pts, time_s, motion, shape = _measure(
            path, height=height, memory_s=memory_s, min_difference=min_difference, block=block
        )
        busy = time_s[motion >= min_motion]
        parts.append(
            pl.DataFrame(
                {
                    "file": np.full(len(pts), number, np.int32),
                    "file_frame": np.arange(len(pts), dtype=np.int32),
                    "pts": pts,
                    "time_s": start_s + time_s,
                    "width": np.full(len(pts), shape[0], np.int32),
                    "height": np.full(len(pts), shape[1], np.int32),
                    "motion": motion,
                    "selected": _near(time_s, busy, margin_s),
                }
            )
        )
        start_s += time_s[-1] + float(np.median(np.diff(time_s))) + gap_s if len(time_s) > 1 else gap_s
    table = pl.concat(parts).with_row_index("frame").with_columns(pl.col("frame").cast(pl.Int32))
    log.info("%d frames, %d selected", table.height, table["selected"].sum())
    return table.select(tables.FRAMES.schema.names())


def read_frames(files: list[Path], wanted: pl.DataFrame) -> Iterator[tuple[int, np.ndarray]]:
    """Decode the frames of `wanted` (rows of table FRAMES, in order): frame number and (H, W, 3) uint8 RGB.

    Pictures are upright: the rotation that a phone stores is applied. One picture is in memory at a time.
    """
    for (number,), rows in wanted.group_by("file", maintain_order=True):
        with open_clip(files[int(str(number))]) as clip:
            yield from _read_clip(clip, rows)


def time_ranges(frames: pl.DataFrame, parts: int) -> list[pl.DataFrame]:
    """The selected frames in `parts` consecutive shares of equal size (some empty if there are few)."""
    selected = frames.filter("selected")
    edges = np.linspace(0, selected.height, parts + 1).round().astype(int)
    return [selected[low:high] for low, high in zip(edges[:-1], edges[1:], strict=True)]


def _read_clip(clip: Clip, rows: pl.DataFrame) -> Iterator[tuple[int, np.ndarray]]:
    waiting = dict(rows.select("pts", "frame").iter_rows())
    order = sorted(waiting)
    unit_s = float(clip.stream.time_base)
    while order:
        clip.container.seek(order[0], stream=clip.stream)
        position = 0
        for frame in clip.decode():
            if frame.pts < order[position]:
                continue
            if frame.pts > order[position]:
                raise InputError(
                    f"{clip.path}: has changed since its frames were listed (no frame at {order[position]}); "
                    "delete its folder under results/ and run again"
                )
            yield waiting[frame.pts], _upright(frame)
            position += 1
            if position == len(order) or (order[position] - frame.pts) * unit_s > SEEK_S:
                break
        else:
            raise InputError(f"{clip.path}: ends before {order[position] * unit_s:.2f} s; it has changed; run again")
        order = order[position:]


def _measure(
    path: Path, *, height: int, memory_s: float, min_difference: float, block: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    """Time stamps (N,), seconds from the first frame (N,), motion (N,) of a clip's frames; its upright (W, H)."""
    pts, motion, shape = [], [], (0, 0)
    background: np.ndarray | None = None
    with open_clip(path) as clip:
        unit_s = float(clip.stream.time_base)
        for frame in clip.decode():
            width = max(2, round(frame.width * height / frame.height / 2) * 2)
            small = frame.reformat(width=width, height=height, format="gray", interpolation="AREA").to_ndarray()
            grey = cv2.blur(small, (3, 3)).astype(np.float32)
            step_s = (frame.pts - pts[-1]) * unit_s if pts else 0.0
            background = grey.copy() if background is None else background
            shape = (frame.width, frame.height) if _quarter_turns(frame) % 2 == 0 else (frame.height, frame.width)
            pts.append(frame.pts)
            motion.append(_block_motion(np.abs(grey - background), min_difference, block))
            cv2.accumulateWeighted(grey, background, min(1.0, step_s / memory_s))
    if not pts:
        raise InputError(f"{path}: holds no frame that can be decoded; expected a video with at least one")
    stamps = np.array(pts, np.int64)
    return stamps, (stamps - stamps[0]) * unit_s, np.array(motion, np.float32), shape


def _block_motion(difference: np.ndarray, min_difference: float, block: int) -> float:
    """Largest share of moving pixels over the blocks of a (H, W) grey difference."""
    noise = float(np.median(difference[::2, ::2]))
    moving = (difference > min_difference + 3 * noise).astype(np.float32)
    size = (max(1, moving.shape[1] // block), max(1, moving.shape[0] // block))
    return float(cv2.resize(moving, size, interpolation=cv2.INTER_AREA).max())


def _near(time_s: np.ndarray, busy_s: np.ndarray, margin_s: float) -> np.ndarray:
    """Which of the times (N,) lie within `margin_s` of one of `busy_s` (M,), both ascending."""
    low = np.searchsorted(busy_s, time_s - margin_s, side="left")
    high = np.searchsorted(busy_s, time_s + margin_s, side="right")
    return high > low


def _quarter_turns(frame: av.VideoFrame) -> int:
    """Quarter turns anticlockwise that make a frame upright: the rotation a phone stores."""
    return round(frame.rotation / 90) % 4


def _upright(frame: av.VideoFrame) -> np.ndarray:
    """(H, W, 3) uint8 RGB, upright."""
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), k=_quarter_turns(frame)))
