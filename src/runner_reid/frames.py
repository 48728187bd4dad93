"""Step 1: decode, and choose the frames anyone could be in. No frame is ever written to disk."""

import itertools
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
SEEK_BACK_S = (0.0, 1.0, 10.0, 100.0)
"""How long before a wanted frame to seek, one after the other: a seek may end at a keyframe that is shown after it."""

MKV_HEADER, MKV_BODY = bytes.fromhex("1A45DFA3"), bytes.fromhex("18538067")
"""How the two elements of an mkv or webm file begin."""
MP4_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"meta", b"pnot"}
"""Kinds of boxes that stand before the pictures of an mp4 or mov file, and that of the pictures."""


@dataclass
class Clip:
    """One open video file.

    counted: it keeps no times of presentation (an AVI with B-frames), so that frames are counted and never sought.
    """

    path: Path
    container: av.container.InputContainer
    stream: av.VideoStream
    counted: bool

    @property
    def unit_s(self) -> float:
        """Seconds of one unit of the time stamps."""
        return float(self.stream.time_base or 1)

    def decode(self, start: int | None = None) -> Iterator[tuple[int, av.VideoFrame]]:
        """Time stamp and frame in order of presentation, each later than the one before.

        start: seek to this time stamp first; decoding starts at it or earlier where the file allows it.
        Raises InputError where the file breaks off, and where no frame has a time stamp.
        """
        last: int | None = None
        unstamped = 0
        step = 1 / (float(self.stream.guessed_rate or 1) * self.unit_s)
        try:
            if start is not None and not self.counted:
                self.container.seek(start, stream=self.stream)
            for number, frame in enumerate(self.container.decode(self.stream)):
                pts = round(number * step) if self.counted else frame.pts
                if pts is None or (last is not None and pts <= last):
                    unstamped += 1
                else:
                    last = pts
                    yield pts, frame
        except av.FFmpegError as error:
            raise InputError(
                f"{self.path}: cannot be decoded after {(last or 0) * self.unit_s:.2f} s ({error.strerror}); "
                "expected a whole video file; copy it again from the camera, or cut off the damaged end"
            ) from error
        if unstamped:
            log.warning("%s: left out %d frames without a time stamp of their own", self.path, unstamped)
        if unstamped and last is None:
            raise InputError(
                f"{self.path}: its frames have no time stamps; expected a file that keeps them; make one of it "
                "with its true frame rate: ffmpeg -framerate RATE -i FILE -c copy FILE.mp4"
            )

    def decode_from(self, pts: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """As `decode`, from `pts` (or earlier) on if there is such a frame."""
        for back_s in SEEK_BACK_S:
            frames = self.decode(pts - round(back_s / self.unit_s))
            first = next(frames, None)
            if first and first[0] <= pts:
                break
        return itertools.chain([first] if first else [], frames)


class open_clip:
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
        if lacking := _lacking_bytes(path):
            raise InputError(
                f"{path}: is cut off: {lacking} bytes are missing at its end; expected a whole video file; "
                "copy it again from the camera, or keep its whole part: ffmpeg -i FILE -c copy WHOLE"
            )
        if not self._container.streams.video:
            kinds = ", ".join(sorted({stream.type for stream in self._container.streams}))
            self._container.close()
            held = f"{kinds} stream only" if kinds else "no stream"
            raise InputError(f"{path}: holds {held}; expected a video stream")
        stream = self._container.streams.video[0]
        stream.thread_type = "AUTO"
        counted = self._container.format.name == "avi" and bool(stream.codec_context.has_b_frames)
        return Clip(path, self._container, stream, counted)

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


def time_range(frames: pl.DataFrame, share: str) -> pl.DataFrame:
    """One of several consecutive shares of equal size of the selected frames (some empty if there are few).

    share: e.g. "2-of-4".
    """
    part, parts = (int(number) for number in share.split("-of-"))
    selected = frames.filter("selected")
    first, last = (selected.height * edge // parts for edge in (part - 1, part))
    return selected[first:last]


def _lacking_bytes(path: Path) -> int:
    """How many bytes an mp4, mov, avi, mkv or webm file lacks by its own headers: FFmpeg silently reads what is there.

    A transport stream (ts, mts) says nothing of its length, and so does an mkv whose recorder was never stopped.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        if head[:4] == b"RIFF":
            return max(0, 8 + int.from_bytes(head[4:8], "little") - size)
        if head[:4] == MKV_HEADER:
            after, length = _mkv_size(head, 4)
            file.seek(after + (length or 0))
            head = file.read(16)
            within, length = _mkv_size(head, 4)
            return max(0, file.tell() - len(head) + within + length - size) if length and head[:4] == MKV_BODY else 0
        end = 0
        while head[4:8] in MP4_BOXES:
            length = int.from_bytes(head[8:16] if head[:4] == b"\0\0\0\1" else head[:4], "big")
            if length < 8:
                break
            end += length
            if head[4:8] == b"mdat" and end > size:
                return end - size
            file.seek(end)
            head = file.read(16)
    return 0


def _mkv_size(head: bytes, start: int) -> tuple[int, int | None]:
    """The size that an element of an mkv file states at `start`: where its content begins, and its bytes if it says.

    >>> _mkv_size(bytes([0x42, 0x10]), 0), _mkv_size(bytes([0xFF]), 0)
    ((2, 528), (1, None))
    """
    width = 9 - head[start : start + 1].ljust(1, b"\1")[0].bit_length()
    value = int.from_bytes(head[start : start + width], "big") & ((1 << 7 * width) - 1)
    return start + width, None if value == (1 << 7 * width) - 1 else value


def _read_clip(clip: Clip, rows: pl.DataFrame) -> Iterator[tuple[int, np.ndarray]]:
    waiting = sorted(rows.select("pts", "frame").iter_rows())
    while waiting:
        position = 0
        for pts, picture in clip.decode_from(waiting[0][0]):
            wanted, frame = waiting[position]
            if pts < wanted:
                continue
            if pts > wanted:
                raise InputError(
                    f"{clip.path}: has changed since its frames were listed (no frame at "
                    f"{wanted * clip.unit_s:.3f} s); delete its folder under results/ and run again"
                )
            yield frame, _upright(picture)
            position += 1
            if position == len(waiting):
                break
            if not clip.counted and (waiting[position][0] - pts) * clip.unit_s > SEEK_S:
                break
        else:
            raise InputError(
                f"{clip.path}: has changed since its frames were listed (it ends before "
                f"{waiting[position][0] * clip.unit_s:.3f} s); delete its folder under results/ and run again"
            )
        waiting = waiting[position:]


def _measure(
    path: Path, *, height: int, memory_s: float, min_difference: float, block: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    """Time stamps (N,), seconds from the first frame (N,), motion (N,) of a clip's frames; its upright (W, H)."""
    stamps: list[int] = []
    motion: list[float] = []
    shape = (0, 0)
    background: np.ndarray | None = None
    with open_clip(path) as clip:
        for pts, picture in clip.decode():
            width = max(2, round(picture.width * height / picture.height / 2) * 2)
            small = picture.reformat(width=width, height=height, format="gray", interpolation="AREA").to_ndarray()
            grey = cv2.blur(small, (3, 3)).astype(np.float32)
            step_s = (pts - stamps[-1]) * clip.unit_s if stamps else 0.0
            background = grey.copy() if background is None else background
            turned = _quarter_turns(picture) % 2
            shape = (picture.height, picture.width) if turned else (picture.width, picture.height)
            stamps.append(pts)
            motion.append(_block_motion(np.abs(grey - background), min_difference, block))
            cv2.accumulateWeighted(grey, background, min(1.0, step_s / memory_s))
        unit_s = clip.unit_s
    if not stamps:
        raise InputError(f"{path}: holds no frame that can be decoded; expected a video with at least one")
    pts_array = np.array(stamps, np.int64)
    return pts_array, (pts_array - pts_array[0]) * unit_s, np.array(motion, np.float32), shape


def _block_motion(difference: np.ndarray, min_difference: float, block: int) -> float:
    """Largest share of moving pixels over the blocks of a (H, W) grey difference."""
    noise = float(np.median(difference[::2, ::2]))
    moving = (difference > min_difference + 3 * noise).astype(np.float32)
    size = (max(1, moving.shape[1] // block), max(1, moving.shape[0] // block))
    return min(1.0, float(cv2.resize(moving, size, interpolation=cv2.INTER_AREA).max()))


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
