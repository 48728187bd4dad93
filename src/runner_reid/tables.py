"""The shape of every Parquet table, and the only code that reads or writes one."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from runner_reid.errors import InputError
from runner_reid.files import atomic_path

ROW_GROUP = 256
"""Rows of one row group in a streamed table: what a reader of crops holds in memory at once."""


@dataclass(frozen=True)
class Column:
    """One column: its polars type, its unit ("" if it has none) and its meaning."""

    dtype: pl.DataType | type[pl.DataType]
    unit: str
    meaning: str


@dataclass(frozen=True)
class Table:
    """The shape of one kind of Parquet file.

    columns: in file order. key: the columns whose values together name one row.
    """

    name: str
    meaning: str
    columns: dict[str, Column]
    key: tuple[str, ...]

    @property
    def schema(self) -> pl.Schema:
        return pl.Schema({name: column.dtype for name, column in self.columns.items()})

    def empty(self) -> pl.DataFrame:
        """A table of this shape with no rows."""
        return pl.DataFrame(schema=self.schema)

    def frame(self, rows: dict | list) -> pl.DataFrame:
        """Rows (columns as a mapping, or a list of mappings) as a table of this shape."""
        return pl.DataFrame(rows, schema=self.schema)

    def check(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return `table` if it has this shape; raise InputError that says expected and got if not."""
        if table.schema != self.schema:
            raise InputError(f"table {self.name}: expected columns {dict(self.schema)}, got {dict(table.schema)}")
        nulls = [name for name, count in table.null_count().row(0, named=True).items() if count] if table.height else []
        if nulls:
            raise InputError(f"table {self.name}: empty cells in {', '.join(nulls)}; expected none")
        if table.select(self.key).is_duplicated().any():
            raise InputError(f"table {self.name}: rows repeat the key {', '.join(self.key)}")
        return table

    def read(self, path: str | os.PathLike) -> pl.DataFrame:
        """The whole table in memory. Raises InputError if the file is not a table of this shape."""
        with self._readable(path):
            return self.check(pl.read_parquet(Path(path)))

    def write(self, table: pl.DataFrame, path: str | os.PathLike) -> None:
        """Write `table`, checked and sorted by its key, atomically."""
        checked = self.check(table).sort(self.key).to_arrow()
        with atomic_path(path) as temporary:  # not by polars, whose error on a full disk is no OSError
            pq.write_table(checked, temporary, compression="zstd", row_group_size=65536)

    @contextlib.contextmanager
    def writer(self, path: str | os.PathLike) -> Iterator["Writer"]:
        """A writer for tables that never fit in memory: append in key order, one row group at a time."""
        schema = self.empty().to_arrow().schema
        with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as parquet:
            writer = Writer(self, parquet)
            yield writer
            writer.flush()

    def concatenate(self, paths: list[str], path: str | os.PathLike) -> None:
        """Write the tables at `paths`, in their order, as one, a row group in memory at a time."""
        with self.writer(path) as writer:
            for part in paths:
                for rows in self.batches(part):
                    writer.append(rows)

    def batches(self, path: str | os.PathLike) -> Iterator[pl.DataFrame]:
        """The table, one row group after the other. Raises InputError if the file is not a table of this shape."""
        with self._readable(path), pq.ParquetFile(Path(path)) as parquet:
            for group in range(parquet.num_row_groups):
                yield self.check(pl.DataFrame(parquet.read_row_group(group)))

    @contextlib.contextmanager
    def _readable(self, path: str | os.PathLike) -> Iterator[None]:
        """Turn what reading a damaged file or another table raises into an InputError that names the file."""
        try:
            yield
        except (pl.exceptions.PolarsError, pa.ArrowInvalid, OSError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{path}: expected a Parquet table {self.name} ({reason}); delete it and run again"
            ) from error
        except InputError as error:
            raise InputError(f"{path}: {error}; delete it and run again") from error

    def markdown(self) -> str:
        """The shape as a Markdown table, for the docs."""
        lines = ["| column | type | unit | meaning |", "| --- | --- | --- | --- |"]
        for name, column in self.columns.items():
            shown = f"**{name}**" if name in self.key else name
            lines.append(f"| {shown} | {column.dtype} | {column.unit} | {column.meaning} |")
        return "\n".join(lines)


class Writer:
    """Collects rows and writes them in row groups of ROW_GROUP."""

    def __init__(self, table: Table, parquet: pq.ParquetWriter):
        self._table, self._parquet = table, parquet
        self._waiting: list[pl.DataFrame] = []

    def append(self, rows: pl.DataFrame) -> None:
        self._waiting.append(self._table.check(rows))
        while sum(part.height for part in self._waiting) >= ROW_GROUP:
            joined = pl.concat(self._waiting)
            self._write(joined[:ROW_GROUP])
            self._waiting = [joined[ROW_GROUP:]]

    def flush(self) -> None:
        if any(part.height for part in self._waiting):
            self._write(pl.concat(self._waiting))
        self._waiting = []

    def _write(self, rows: pl.DataFrame) -> None:
        self._parquet.write_table(rows.to_arrow().cast(self._parquet.schema))


_FRAME = Column(pl.Int32, "", "frame number in the session, from 0")
_PERSON = Column(pl.Int16, "", "number of the detection within its frame, from 0")
_TRACK = Column(pl.Int32, "", "track number, from 0")
_SCENE = Column(pl.Int32, "", "scene number in order of start, from 0")
_SCORE = Column(pl.Float32, "0..1", "confidence")
_IMAGE = Column(pl.Binary, "", "encoded image; the alpha channel, if any, is the mask")
_BOX = {
    "x1": Column(pl.Float32, "px", "left edge"),
    "y1": Column(pl.Float32, "px", "upper edge"),
    "x2": Column(pl.Float32, "px", "right edge"),
    "y2": Column(pl.Float32, "px", "lower edge"),
}
_MASK = Column(pl.Binary, "", "COCO run-length code of the mask inside the box rounded outwards to whole pixels")

FRAMES = Table(
    "frames",
    "every frame of a session, and whether anyone could be in it",
    {
        "frame": _FRAME,
        "file": Column(pl.Int32, "", "number of the file within the session, from 0"),
        "file_frame": Column(pl.Int32, "", "frame number within its file, in order of presentation"),
        "pts": Column(pl.Int64, "", "presentation time stamp in the file's own units"),
        "time_s": Column(pl.Float64, "s", "presentation time in the session"),
        "width": Column(pl.Int32, "px", "width of the upright picture"),
        "height": Column(pl.Int32, "px", "height of the upright picture"),
        "motion": Column(pl.Float32, "0..1", "largest share of moving pixels over the blocks of the picture"),
        "selected": Column(pl.Boolean, "", "anyone could be in it"),
    },
    ("frame",),
)
PERSONS = Table(
    "persons",
    "detections of persons",
    {"frame": _FRAME, "person": _PERSON, **_BOX, "score": _SCORE, "mask": _MASK},
    ("frame", "person"),
)
PERSON_CROPS = Table(
    "person_crops",
    "the cut-out of each person, background removed, at a bounded height",
    {"frame": _FRAME, "person": _PERSON, "image": _IMAGE},
    ("frame", "person"),
)
RUNNERS = Table(
    "runners",
    "how surely a detection is a runner",
    {"frame": _FRAME, "person": _PERSON, "score": _SCORE},
    ("frame", "person"),
)
TRACKS = Table(
    "tracks",
    "which detections are one person followed over time",
    {"frame": _FRAME, "person": _PERSON, "track": _TRACK},
    ("frame", "person"),
)
SCENES = Table(
    "scenes",
    "passages: one runner once across the picture",
    {
        "scene": _SCENE,
        "track": _TRACK,
        "first_frame": _FRAME,
        "last_frame": _FRAME,
        "start_s": Column(pl.Float64, "s", "time of the first frame in the session"),
        "end_s": Column(pl.Float64, "s", "time of the last frame in the session"),
        "direction": Column(pl.String, "", "`left` or `right`: where to"),
        "speed": Column(pl.Float32, "body heights/s", "median horizontal speed; NaN where it was not measured"),
        "cadence": Column(pl.Float32, "steps/min", "steps per minute; NaN where no period was found"),
    },
    ("scene",),
)
SCENE_DETECTIONS = Table(
    "scene_detections",
    "the detections of each passage",
    {
        "scene": _SCENE,
        "frame": _FRAME,
        "person": _PERSON,
        "time_s": Column(pl.Float64, "s", "presentation time in the session"),
        **_BOX,
        "inside": Column(pl.Boolean, "", "not cut off by the left or right edge of the picture"),
        "area_px": Column(pl.Int32, "px", "pixels of the mask"),
        "apart": Column(pl.Float32, "0..1", "share of the box in no box of another passage; 0: two runners in one box"),
    },
    ("scene", "frame", "person"),
)
SEQUENCES = Table(
    "sequences",
    "the frames of a scene that hold two steps, cut at the same phase",
    {
        "scene": _SCENE,
        "position": Column(pl.Int16, "", "order within the scene, from 0"),
        "frame": _FRAME,
        "person": _PERSON,
    },
    ("scene", "position"),
)
_CLEAR = Column(pl.Int16, "", "which shoe of the scene, each of another frame; 0 the clearest")
SHOES = Table(
    "shoes",
    "the clearest shoes of a scene; scenes without one have no row",
    {"scene": _SCENE, "rank": _CLEAR, "frame": _FRAME, "person": _PERSON, **_BOX, "score": _SCORE},
    ("scene", "rank"),
)
SHOE_CROPS = Table(
    "shoe_crops",
    "the cut-outs of the clearest shoes",
    {"scene": _SCENE, "rank": _CLEAR, "image": _IMAGE},
    ("scene", "rank"),
)
IDENTITIES = Table(
    "identities",
    "who is who: scenes with the same runner number are the same human being",
    {
        "scene": _SCENE,
        "runner": Column(pl.Int32, "", "runner number in order of first appearance, from 0"),
        "confidence": Column(pl.Float32, "0..1", "chance that chance alone does not explain the answer"),
        "stranger": Column(pl.Float32, "0..1", "chance that somebody never seen before fits a runner here as well"),
        "doubt": Column(pl.String, "", "why to look at it: `forbidden`, `torn`, `stranger`, `apart`; empty for none"),
    },
    ("scene",),
)

IMAGES = Table(
    "images",
    "the pictures of a benchmark, each a scene of its own; read by scoring alone",
    {
        "scene": _SCENE,
        "name": Column(pl.String, "", "file name in the set"),
        "identity": Column(pl.Int32, "", "who it is; 0 a distractor, -1 junk"),
        "camera": Column(pl.Int16, "", "number of the camera"),
        "query": Column(pl.Boolean, "", "looked for; the others of a test are looked through"),
    },
    ("scene",),
)

_ACTOR = Column(pl.String, "", "name of a human being in the rendered world")
_PASS = Column(pl.Int32, "", "number of the passage, from 0: the track number of the truth")
TRUTH_PERSONS = Table(
    "truth_persons",
    "rendered truth: everyone who is visible in a frame",
    {
        "frame": _FRAME,
        "passage": _PASS,
        "actor": _ACTOR,
        "runner": Column(pl.Boolean, "", "a runner of the practice (not a walker, coach, sprinter or crosser)"),
        **_BOX,
        "visible": Column(pl.Float32, "0..1", "share of the body that is in the picture and not hidden"),
        "mask": _MASK,
    },
    ("frame", "passage"),
)
TRUTH_SHOES = Table(
    "truth_shoes",
    "rendered truth: shoes",
    {
        "frame": _FRAME,
        "passage": _PASS,
        "side": Column(pl.String, "", "`near` or `far` to the camera"),
        **_BOX,
        "visible": Column(pl.Float32, "0..1", "share of the shoe that is in the picture and not hidden"),
    },
    ("frame", "passage", "side"),
)
TRUTH_PASSES = Table(
    "truth_passes",
    "rendered truth: passages",
    {
        "passage": _PASS,
        "actor": _ACTOR,
        "runner": Column(pl.Boolean, "", "a runner of the practice"),
        "first_frame": _FRAME,
        "last_frame": _FRAME,
        "start_s": Column(pl.Float64, "s", "time of the first visible frame"),
        "end_s": Column(pl.Float64, "s", "time of the last visible frame"),
        "direction": Column(pl.String, "", "`left`, `right` or `none`"),
        "cadence": Column(pl.Float32, "steps/min", "true steps per minute; 0 for who stands"),
        "shoes": Column(pl.String, "", "name of the shoe model"),
        "clothes": Column(pl.String, "", "name of the clothing; runners dressed alike share it"),
    },
    ("passage",),
)

TABLES = {value.name: value for value in list(globals().values()) if isinstance(value, Table)}


if __name__ == "__main__":
    print("# Tables\n\nMade from `tables.py` by `make docs`. Key columns are bold.")
    for table in TABLES.values():
        print(f"\n## {table.name}\n\n{table.meaning[0].upper()}{table.meaning[1:]}.\n\n{table.markdown()}")
