"""What a coach opens: one page and one table of laps per video."""

import base64
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
import polars as pl

from runner_reid import crops
from runner_reid.errors import InputError
from runner_reid.files import atomic_path, write_text

LAPS = pl.Schema(
    {
        "runner": pl.Int32,
        "lap": pl.Int32,
        "start_s": pl.Float64,
        "end_s": pl.Float64,
        "lap_time_s": pl.Float64,
        "direction": pl.String,
        "speed": pl.Float32,
        "cadence": pl.Float32,
        "confidence": pl.Float32,
        "doubt": pl.String,
        "scene": pl.Int32,
    }
)
"""The table of laps: one row per scene, in order of runner and lap."""
SAME_PASSAGE_S = 5.0
"""No lap is run faster than this."""
DOUBTS = {
    "forbidden": "passes with this runner",
    "torn": "fits another as well",
    "stranger": "may be somebody new",
    "apart": "may be seen before",
}
"""What the page says of each doubt of table IDENTITIES."""

PICTURE_PX = 176
"""Height of an embedded picture: twice what the page shows, for sharp screens; smaller ones stay as they are."""
PICTURE_QUALITY = 80
"""WebP quality of an embedded picture, 1..100."""
AXIS_STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600]
"""Seconds that may lie between two marks of the time axis."""
AXIS_MARKS = 6
"""Steps of the time axis, at most: more labels would touch each other on a phone."""


@dataclass(frozen=True)
class Material:
    """What a report is made from.

    video, condition: names. frames, persons, tracks, scenes, sequences, shoes, identities: the tables of these
    names in `tables`. person_crops, shoe_crops: the files of these tables, which are streamed.
    learned: what learned extractors came to see, WebP by name of the extractor.
    evaluation: as from `results.evaluate_video`, None for a video without labels.
    provenance: params_sha256, code (text), weights (sha256 by name), seconds (wall time by rule).
    """

    video: str
    condition: str
    frames: pl.DataFrame
    persons: pl.DataFrame
    tracks: pl.DataFrame
    scenes: pl.DataFrame
    sequences: pl.DataFrame
    shoes: pl.DataFrame
    identities: pl.DataFrame
    person_crops: str | Path
    shoe_crops: str | Path
    learned: dict[str, bytes]
    evaluation: dict | None
    provenance: dict


@dataclass(frozen=True)
class Report:
    """laps: table LAPS. page: HTML that needs no other file."""

    laps: pl.DataFrame
    page: str


@dataclass(frozen=True)
class Picture:
    """A picture inside the page: a data URI, and its size in pixels."""

    uri: str
    width: int
    height: int


def make_report(material: Material, *, system: str, crops_per_runner: int) -> Report:
    """The report of one video. The same material gives the same bytes.

    system: whose identities these are, a name to show.
    crops_per_runner: scenes of a runner that are shown as a picture; larger makes a longer page.
    """
    laps = lap_table(material.scenes, material.identities)
    chosen = best_crops(material.sequences, material.persons, pictured_scenes(laps, crops_per_runner=crops_per_runner))
    pictures = {
        row["scene"]: picture(image, mask)
        for row, image, mask in crops.read_person_crops(material.person_crops, chosen)
    }
    best_shoes = clearest_shoes(material.shoes, laps)
    shoes = {
        best_shoes[scene.scene]: picture(scene.images[0], scene.masks[0])
        for scene in crops.read_shoe_scenes(material.shoe_crops)
        if scene.scene in best_shoes
    }
    times = [*material.frames["time_s"].to_list(), *laps["end_s"].to_list()]
    page = _environment().get_template("report.html")
    html = page.render(
        video=material.video,
        condition=material.condition,
        system=system,
        runners=[
            runner_card(rows, pictures, shoes.get(runner))
            for (runner,), rows in laps.group_by("runner", maintain_order=True)
        ],
        passages=laps.height,
        doubtful=laps["doubt"].count(),
        duration_s=max(times, default=0.0),
        counts={
            "frames of the video": material.frames.height,
            "frames in which anyone could be": int(material.frames["selected"].sum()),
            "detections of persons": material.persons.height,
            "persons followed over time (tracks)": material.tracks["track"].n_unique(),
            "passages of runners": laps.height,
        },
        doubts=DOUBTS,
        learned={name: _uri(image) for name, image in material.learned.items()},
        evaluation=material.evaluation,
        provenance=material.provenance,
    )
    return Report(laps, html)


def write_report(report: Report, *, page: str | os.PathLike, laps: str | os.PathLike) -> None:
    """Write the page as HTML and the laps as CSV, atomically. What is not known is an empty cell."""
    write_text(page, report.page)
    with atomic_path(laps) as temporary:
        report.laps.write_csv(temporary, float_precision=3)


def read_evaluation(paths: list[str]) -> dict | None:
    """The result at the one path there is, None if there is none."""
    for path in paths:
        try:
            return json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(
                f"{path}: expected the JSON of an evaluation ({error}); delete it and run again"
            ) from error
    return None


def lap_table(scenes: pl.DataFrame, identities: pl.DataFrame) -> pl.DataFrame:
    """The laps of every runner (table LAPS).

    scenes, identities: tables SCENES, IDENTITIES of the same scenes. Runners and laps are numbered from 1.
    A scene that starts within SAME_PASSAGE_S of the runner's one before is of the same lap: a passage broken in two.
    lap_time_s is the time since the start of the runner's previous lap, null in the first and in a later piece of a
    lap; speed and cadence are null where they are unknown, doubt where there is none.
    """
    if scenes["scene"].sort().to_list() != identities["scene"].sort().to_list():
        raise InputError(
            "identities: expected those of the table of scenes, got other scenes; delete the file and run again"
        )
    piece = (pl.col("start_s").diff() < SAME_PASSAGE_S).fill_null(False)
    return (
        scenes.join(identities, on="scene")
        .sort("runner", "start_s", "scene")
        .with_columns(piece=piece.over("runner"), lap=(~piece).cum_sum().over("runner"))
        .with_columns(lap_start_s=pl.col("start_s").first().over("runner", "lap"))
        .with_columns(
            runner=pl.col("runner") + 1,
            lap_time_s=pl.when(~pl.col("piece")).then(pl.col("start_s") - pl.col("lap_start_s").shift().over("runner")),
            speed=pl.col("speed").fill_nan(None),
            cadence=pl.col("cadence").fill_nan(None),
            doubt=pl.col("doubt").replace("", None),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in LAPS.items())
    )


def pictured_scenes(laps: pl.DataFrame, *, crops_per_runner: int) -> list[int]:
    """The scenes that are shown as a picture: of each runner the surest, the least sure, and evenly between.

    laps: table LAPS. A larger crops_per_runner shows more, at most all.
    """
    scenes = []
    for _, rows in laps.group_by("runner", maintain_order=True):
        ordered = rows.sort("confidence", "lap", descending=[True, False])["scene"].to_numpy()
        spread = np.linspace(0, len(ordered) - 1, min(crops_per_runner, len(ordered))).round().astype(int)
        scenes += ordered[spread].tolist()
    return sorted(scenes)


def best_crops(sequences: pl.DataFrame, persons: pl.DataFrame, scenes: list[int]) -> pl.DataFrame:
    """The crop of each scene whose person was detected most surely: columns scene, frame, person.

    sequences, persons: tables SEQUENCES, PERSONS. Of equal scores the earliest is taken.
    """
    return (
        sequences.filter(pl.col("scene").is_in(scenes))
        .join(persons.select("frame", "person", "score"), on=["frame", "person"])
        .sort("scene", "score", "position", descending=[False, True, False])
        .unique("scene", keep="first", maintain_order=True)
        .select("scene", "frame", "person")
    )


def clearest_shoes(shoes: pl.DataFrame, laps: pl.DataFrame) -> dict[int, int]:
    """The scene with the clearest shoe of each runner who has one: {scene: runner}. Tables SHOES, LAPS."""
    best = (
        shoes.join(laps.select("scene", "runner"), on="scene")
        .sort("runner", "score", "scene", descending=[False, True, False])
        .unique("runner", keep="first", maintain_order=True)
    )
    return dict(best.select("scene", "runner").iter_rows())


def picture(image_rgb: np.ndarray, mask: np.ndarray) -> Picture:
    """A crop, (H, W, 3) uint8 with mask (H, W) bool, for the page: WebP with a transparent background."""
    encoded = crops.encode_crop(image_rgb, mask, max_height=PICTURE_PX, quality=PICTURE_QUALITY)
    height, width = mask.shape
    scale = min(1.0, PICTURE_PX / height)
    return Picture(
        _uri(encoded),
        max(1, round(width * scale)),
        round(height * scale),
    )


def _uri(webp: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(webp).decode()


def runner_card(laps: pl.DataFrame, pictures: dict[int, Picture], shoe: Picture | None) -> dict:
    """What the page says about one runner. laps: the rows of table LAPS of one runner. pictures: by scene."""
    times = laps["lap_time_s"].drop_nulls()
    return {
        "runner": laps["runner"][0],
        "laps": laps.to_dicts(),
        "once": laps.height == 1,
        "pictures": [(lap, pictures[lap["scene"]]) for lap in laps.to_dicts() if lap["scene"] in pictures],
        "shoe": shoe,
        "fastest_s": times.min(),
        "median_s": times.median(),
        "cadence": laps["cadence"].median(),
        "doubtful": laps["doubt"].count(),
    }


def axis_marks(duration_s: float) -> list[float]:
    """Where a time axis from 0 to duration_s has its marks, in seconds: at most AXIS_MARKS steps.

    >>> axis_marks(200)
    [0, 60, 120, 180]
    >>> axis_marks(0)
    [0]
    """
    hours = 3600 * math.ceil(duration_s / 3600 / AXIS_MARKS)
    step = next((step for step in AXIS_STEPS_S if duration_s <= step * AXIS_MARKS), hours)
    return [step * mark for mark in range(int(duration_s // step) + 1)]


def clock(seconds: float | None, digits: int = 1) -> str:
    """A time as people write it.

    >>> clock(83.25), clock(3600.04), clock(59.96), clock(120, 0), clock(None)
    ('1:23.2', '1:00:00.0', '1:00.0', '2:00', '–')
    """
    if seconds is None:
        return "–"
    ticks = round(seconds * 10**digits)
    whole, fraction = divmod(ticks, 10**digits)
    minutes, second = divmod(whole, 60)
    hour, minute = divmod(minutes, 60)
    start = f"{hour}:{minute:02}" if hour else f"{minute}"
    return f"{start}:{second:02}" + (f".{fraction:0{digits}}" if digits else "")


def number(value: float | None, digits: int = 3) -> str:
    """A number with a fixed number of decimals, a dash for none.

    >>> number(0.12345), number(12345, 0), number(None)
    ('0.123', '12,345', '–')
    """
    return "–" if value is None else f"{value:,.{digits}f}"


def _environment() -> jinja2.Environment:
    """Where the page's template is; whatever it is given is escaped, and what it is not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("runner_reid"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"clock": clock, "number": number}
    environment.globals |= {"axis_marks": axis_marks}
    return environment
