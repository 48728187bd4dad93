"""What a user knows about a session: who passes when, and where."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from runner_reid.errors import InputError

PASSES = pl.Schema({"passage": pl.Int32, "runner": pl.String, "start_s": pl.Float64, "end_s": pl.Float64})
BOXES = pl.Schema(
    {"frame": pl.Int32, "passage": pl.Int32}
    | dict.fromkeys(("x1", "y1", "x2", "y2"), pl.Float32)
    | {"counted": pl.Boolean}
)
PASSES_HEADER = ["file", "start_s", "end_s", "runner"]
APPEARANCES_HEADER = ["runner", "appearances"]


@dataclass(frozen=True)
class Labels:
    """The labelled passages of a session, in session time.

    passes: one row per passage: passage, runner (a name), start_s, end_s (seconds).
    boxes: where each passage is, if known: frame (from 0 in the session), passage, x1, y1, x2, y2 (pixels),
        counted (False = there, but neither right nor wrong to find when tracking is scored).
    appearances: how often each runner passed, labelled or not; empty if nobody says.
    """

    passes: pl.DataFrame
    boxes: pl.DataFrame | None
    appearances: dict[str, int]


def read_labels(
    paths: list[Path],
    files: list[str],
    clip_start_s: list[float],
    clip_end_s: list[float],
    frame_time_s: np.ndarray,
) -> Labels:
    """The labels of one session. Which form a file has is read from its first line.

    paths: either one table of passes (tab-separated, header `file, start_s, end_s, runner`; an empty file
        means that the times are the session's, an empty time the start or end of that clip or of the
        session), or one MOT text without a header (`frame,id,x,y,w,h[,flag,...]`, frames from 1 in the
        session, flag 0 = not counted) and, if wanted, a table of identities (tab-separated, header `track`
        and any other name). Without identities each MOT id is a person of its own, named by its number.
        Besides, if wanted, a table of appearances (tab-separated, header `runner, appearances`): how often each
        runner passed in truth, where that is known of more passages than are labelled.
    files: the names of the session's clips in order; labels name them without folders.
    clip_start_s, clip_end_s: session time at which each clip starts and ends, in seconds.
    frame_time_s: (F,) session time of each frame, in seconds.

    A passage is a row of the passes (numbered from 0) or a MOT id (keeps its number; lasts from its first to
    its last box). Raises InputError where a file says something that cannot be.
    """
    lines = {Path(path): _read_lines(Path(path)) for path in paths}
    forms = {path: _form(path, rows) for path, rows in lines.items()}
    counts = [path for path, form in forms.items() if form == "appearances"]
    appearances = {name: count for path in counts for name, count in _read_appearances(path, lines[path]).items()}
    kinds = sorted(form for form in forms.values() if form != "appearances")
    if kinds == ["passes"]:
        [(path, rows)] = [(path, rows) for path, rows in lines.items() if forms[path] == "passes"]
        return Labels(_read_passes(path, rows, files, clip_start_s, clip_end_s), None, appearances)
    if kinds not in (["boxes"], ["boxes", "identities"]):
        raise InputError(
            f"labels: got {', '.join(f'{path} ({form})' for path, form in forms.items()) or 'no file'}; "
            "expected one table of passes, or one MOT text with at most one table of identities; give these"
        )
    path_of = {form: path for path, form in forms.items()}
    names = _read_identities(path_of["identities"], lines) if "identities" in path_of else None
    boxes = _read_boxes(path_of["boxes"], lines[path_of["boxes"]], len(frame_time_s))
    return Labels(_passes_of(boxes, names, path_of, frame_time_s), boxes, appearances)


def is_runner(names: Sequence[str] | np.ndarray, *, non_runners: Sequence[str]) -> np.ndarray:
    """Which names are runners of the practice: those whose letters before the digits are not `non_runners`.

    Returns (N,) bool. The empty name of an unlabelled scene is no runner. More `non_runners`: fewer runners.

    >>> is_runner(["runner7", "rugby2", "5", ""], non_runners=["rugby"]).tolist()
    [True, False, True, False]
    """
    return np.array([name != "" and name.rstrip("0123456789") not in non_runners for name in names], bool)


def _read_lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a text file in UTF-8 ({error}); save it as UTF-8") from error


def _form(path: Path, lines: list[str]) -> str:
    """`boxes` (no header), `passes`, `identities` or `appearances`."""
    header = lines[0].split("\t") if lines else []
    if not header or _is_number(header[0].split(",")[0]):
        return "boxes"
    if len(header) == 2 and header[0] == "track":
        return "identities"
    if header == APPEARANCES_HEADER:
        return "appearances"
    missing = [name for name in PASSES_HEADER if name not in header]
    if missing:
        raise InputError(
            f"{path}: column {', '.join(missing)} is missing; expected the tab-separated header "
            f"{', '.join(PASSES_HEADER)}, got {lines[0]!r}; add it"
        )
    return "passes"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_table(path: Path, lines: list[str]) -> list[dict[str, str]]:
    """Rows as mappings; every row must have as many cells as the header."""
    header, *rows = csv.reader(lines, delimiter="\t")
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise InputError(
                f"{path}: row {number} has {len(row)} cells, expected {len(header)}; put a tab between cells"
            )
    return [{name: cell.strip() for name, cell in zip(header, row, strict=True)} for row in rows]


def _read_passes(
    path: Path, lines: list[str], files: list[str], clip_start_s: list[float], clip_end_s: list[float]
) -> pl.DataFrame:
    names = [Path(file).name for file in files]
    rows: list[tuple] = []
    for number, row in enumerate(_read_table(path, lines), 2):
        if row["file"] == "":
            origin, whole = 0.0, (min(clip_start_s, default=0.0), max(clip_end_s, default=0.0))
        elif names.count(row["file"]) == 1:
            clip = names.index(row["file"])
            origin, whole = clip_start_s[clip], (clip_start_s[clip], clip_end_s[clip])
        else:
            raise InputError(
                f"{path}: row {number} names the file {row['file']!r}; expected one of {', '.join(names)}; correct it"
            )
        start, end = (
            limit if row[column] == "" else origin + _seconds(path, number, column, row[column])
            for column, limit in zip(("start_s", "end_s"), whole, strict=True)
        )
        if not end > start:
            raise InputError(
                f"{path}: row {number} lasts from {start:g} s to {end:g} s; expected an end after the start; correct it"
            )
        if row["runner"] == "":
            raise InputError(f"{path}: row {number} has no runner; expected a name; fill it in or delete the row")
        rows.append((len(rows), row["runner"], start, end))
    return pl.DataFrame(rows, schema=PASSES, orient="row")


def _seconds(path: Path, number: int, column: str, text: str) -> float:
    if not (_is_number(text) and np.isfinite(float(text))):
        raise InputError(f"{path}: row {number} has {column} {text!r}; expected seconds such as 12.5; correct it")
    return float(text)


def _read_boxes(path: Path, lines: list[str], n_frames: int) -> pl.DataFrame:
    try:
        values = np.loadtxt(lines, delimiter=",", ndmin=2) if lines else np.empty((0, 6))
    except ValueError as error:
        raise InputError(f"{path}: expected MOT text frame,id,x,y,w,h[,flag,...] ({error}); correct it") from error
    if values.shape[1] < 6:
        raise InputError(
            f"{path}: has {values.shape[1]} columns; expected MOT text frame,id,x,y,w,h[,flag,...]; add what is missing"
        )
    frame, passage, x, y, width, height = values[:, :6].T
    counted = values[:, 6] != 0 if values.shape[1] > 6 else np.ones(len(values), bool)
    if ((frame < 1) | (frame > n_frames)).any():
        raise InputError(
            f"{path}: has frames from {frame.min():g} to {frame.max():g}; expected 1 to {n_frames}, the "
            "frames of the session; give the labels of this session"
        )
    if (passage < 0).any():
        raise InputError(f"{path}: has the id {passage.min():g}; expected ids from 0; give the truth, not detections")
    if not ((width > 0) & (height > 0)).all():
        raise InputError(f"{path}: has a box without area; expected w and h above 0; delete it")
    columns = [frame - 1, passage, x, y, x + width, y + height, counted]
    boxes = pl.DataFrame(dict(zip(BOXES, columns, strict=True))).cast(BOXES)
    if boxes.select("frame", "passage").is_duplicated().any():
        raise InputError(f"{path}: has an id twice in one frame; expected one box per id and frame; delete the others")
    return boxes.sort("frame", "passage")


def _read_identities(path: Path, lines: dict[Path, list[str]]) -> dict[int, str]:
    names = {}
    for number, row in enumerate(_read_table(path, lines[path]), 2):
        track, name = row.values()
        if not track.isdigit() or int(track) in names or name == "":
            raise InputError(
                f"{path}: row {number} is {track!r}, {name!r}; expected a track number not given before, "
                "and a name; correct it"
            )
        names[int(track)] = name
    return names


def _read_appearances(path: Path, lines: list[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for number, row in enumerate(_read_table(path, lines), 2):
        if not row["appearances"].isdigit() or row["runner"] in ("", *counts):
            raise InputError(
                f"{path}: row {number} is {row['runner']!r}, {row['appearances']!r}; expected a runner not given "
                "before, and how often it passed; correct it"
            )
        counts[row["runner"]] = int(row["appearances"])
    return counts


def _passes_of(
    boxes: pl.DataFrame, names: dict[int, str] | None, path_of: dict[str, Path], frame_time_s: np.ndarray
) -> pl.DataFrame:
    """One passage per MOT id of `boxes`."""
    ends = boxes.group_by("passage").agg(first=pl.col("frame").min(), last=pl.col("frame").max()).sort("passage")
    passages = ends["passage"].to_list()
    unnamed = [] if names is None else [passage for passage in passages if passage not in names]
    if unnamed:
        raise InputError(
            f"{path_of['identities']}: names nobody for tracks {', '.join(map(str, unnamed))} "
            f"of {path_of['boxes']}; expected a row for each; add them"
        )
    columns = [
        passages,
        [str(passage) if names is None else names[passage] for passage in passages],
        np.asarray(frame_time_s, np.float64)[ends["first"].to_numpy()],
        np.asarray(frame_time_s, np.float64)[ends["last"].to_numpy()],
    ]
    return pl.DataFrame(dict(zip(PASSES, columns, strict=True)), schema=PASSES)
