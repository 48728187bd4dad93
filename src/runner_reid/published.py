"""The features that Suzuki et al. released, as if our own steps had made them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from runner_reid.errors import InputError
from runner_reid.tables import SCENES

FPS = 60.0
"""Frames per second of both videos: the released scenes are counted in frames."""


@dataclass(frozen=True)
class Published:
    """One released video: table SCENES, what is known of them as texts of labels, and features.

    passes: a table of passes (`labels.read_labels`), one per scene. appearances: a table of how often each runner
    passed, found or not. features: (N, D) float32 by name, rows in order of scene.
    """

    scenes: pl.DataFrame
    passes: str
    appearances: str
    features: dict[str, np.ndarray]


def import_published(scenes_path: str | Path, appearances_path: str | Path, features: dict[str, str]) -> Published:
    """Read what was released of one video.

    scenes_path: lines `number,first frame,last frame,name`, frames counted from the start of a 60 fps video; line i
    is row i of every feature. appearances_path: lines `runner,passages`. features: path of a .npy (N, D) by name.

    All runners run to the right (the paper, section 3.1). Nothing is known of tracks, speed and cadence: each scene
    is a track, the others are NaN. Raises InputError for a file that is not like this, or that is of another video.
    """
    rows = _read_rows(scenes_path, "number,first frame,last frame,name", 4)
    frames = np.array([row[1:3] for row in rows], np.int64).reshape(len(rows), 2)
    count = np.arange(len(rows))
    unknown = np.full(len(rows), np.nan)
    start_s, end_s = (frames / FPS).T
    table = {
        "scene": count,
        "track": count,
        "first_frame": frames[:, 0],
        "last_frame": frames[:, 1],
        "start_s": start_s,
        "end_s": end_s,
        "direction": ["right"] * len(rows),
        "speed": unknown,
        "cadence": unknown,
    }
    passes = [
        f"\t{start!r}\t{end!r}\t{row[3]}" for start, end, row in zip(*(frames / FPS).T.tolist(), rows, strict=True)
    ]
    appearances = ["\t".join(row) for row in _read_rows(appearances_path, "runner,passages", 2)]
    return Published(
        pl.DataFrame(table).cast(SCENES.schema),
        "\n".join(["file\tstart_s\tend_s\trunner", *passes, ""]),
        "\n".join(["runner\tappearances", *appearances, ""]),
        {name: _read_feature(path, len(rows), scenes_path) for name, path in features.items()},
    )


def _read_rows(path: str | Path, form: str, cells: int) -> list[list[str]]:
    """The lines of a file, cut at commas: a name or number, one or two whole numbers, and what is left."""
    rows = [line.strip().split(",") for line in Path(path).read_text().splitlines() if line.strip()]
    for number, row in enumerate(rows, 1):
        numbers = row[1:3] if cells == 4 else row[1:]
        if len(row) != cells or not all(text.isdigit() for text in numbers):
            raise InputError(
                f"{path}: line {number} is {','.join(row)!r}; expected {form}; give the released file of this name"
            )
    return rows


def _read_feature(path: str | Path, scenes: int, scenes_path: str | Path) -> np.ndarray:
    try:
        feature = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: cannot be read as .npy ({error}); delete it and run again") from error
    if feature.ndim != 2 or len(feature) != scenes or feature.dtype.kind != "f":
        raise InputError(
            f"{path}: has {feature.dtype} {feature.shape}; expected a row of floats for each of the {scenes} scenes of "
            f"{scenes_path}; give both files of the same video"
        )
    return feature.astype(np.float32)
