"""Sets of single pictures of people, as if our own steps had cut them out: to score extractors on real people."""

import contextlib
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import polars as pl

from runner_reid import tables
from runner_reid.errors import InputError

_NAME = re.compile(r"(-1|\d{4})_c(\d)s\d_\d{6}_\d{2}\.jpe?g")
JUNK = -1
"""The identity of what nobody should be scored for."""


@dataclass(frozen=True)
class Picture:
    """One picture: its folder and name in the set, its identity (-1 junk, 0 a distractor) and camera."""

    folder: str
    name: str
    identity: int
    camera: int


@dataclass(frozen=True)
class Split:
    """How a set of Market-1501's form is cut; see `split`."""

    role: str
    pictures: list[Picture]
    queries: set[str]


def list_pictures(source: str | Path) -> list[Picture]:
    """The pictures of a folder or tar file whose names are like 0002_c1s1_000451_03.jpg, by folder and name.

    Other files are passed over. Raises InputError if there are none, or one name stands twice in a folder.
    """
    found = {}
    for path in _paths(source):
        match = _NAME.fullmatch(path.name)
        if match:
            picture = Picture(path.parent.name, path.name, int(match[1]), int(match[2]))
            if (picture.folder, picture.name) in found:
                raise InputError(f"{source}: {path} stands there twice; expected each picture once; remove one")
            found[picture.folder, picture.name] = picture
    if not found:
        raise InputError(
            f"{source}: holds no picture named like 0002_c1s1_000451_03.jpg; expected the folder or tar file of"
            " Market-1501"
        )
    return [found[key] for key in sorted(found)]


def split(pictures: list[Picture], *, role: str, train_identities: int, test_identities: int) -> Split:
    """What is learned from (role `train`) or scored on (role `test`), and the names of the queries.

    A set with the official folders (bounding_box_train, query, bounding_box_test) is split by them. Of any other,
    and of one that lacks query and test, the first `train_identities` in order are learned from and the last
    `test_identities` scored on: there the first picture by name of each identity and camera is a query.
    Raises InputError if there are too few identities for that.
    """
    folders = {picture.folder for picture in pictures}
    if {"bounding_box_train", "query", "bounding_box_test"} <= folders:
        if role == "train":
            return Split(role, [one for one in pictures if one.folder == "bounding_box_train"], set())
        tested = [one for one in pictures if one.folder in ("query", "bounding_box_test")]
        return Split(role, tested, {one.name for one in tested if one.folder == "query"})
    people = sorted({picture.identity for picture in pictures if picture.identity > 0})
    if len(people) < train_identities + test_identities:
        raise InputError(
            f"benchmark: the set has {len(people)} identities; expected {train_identities} to learn from and "
            f"{test_identities} to score on; give the whole set, or lower benchmark.train_identities"
        )
    if role == "train":
        chosen = set(people[:train_identities])
        return Split(role, [picture for picture in pictures if picture.identity in chosen], set())
    chosen = {JUNK, 0, *people[-test_identities:]}
    tested = [picture for picture in pictures if picture.identity in chosen]
    first: dict[tuple[int, int], str] = {}
    for picture in tested:
        if picture.identity > 0:
            first.setdefault((picture.identity, picture.camera), picture.name)
    return Split(role, tested, set(first.values()))


def import_benchmark(
    source: str | Path, *, role: str, train_identities: int, test_identities: int
) -> tuple[dict[str, pl.DataFrame], Iterator[pl.DataFrame]]:
    """The tables that a set of pictures stands for, by name, and its table PERSON_CROPS piece by piece.

    Every picture is a scene of one frame, seen by nobody in particular at no time. choices: see `split`.
    """
    chosen = split(list_pictures(source), role=role, train_identities=train_identities, test_identities=test_identities)
    count = len(chosen.pictures)
    rows: dict = {name: range(count) for name in ("scene", "frame", "track", "first_frame", "last_frame")}
    rows |= {name: [0] * count for name in ("person", "position", "start_s", "end_s")}
    rows |= {"direction": ["right"] * count, "speed": [float("nan")] * count, "cadence": [float("nan")] * count}
    rows |= {name: [getattr(one, name) for one in chosen.pictures] for name in ("name", "identity", "camera")}
    rows["query"] = [one.name in chosen.queries and one.folder != "bounding_box_test" for one in chosen.pictures]
    shapes = (tables.IMAGES, tables.SCENES, tables.SEQUENCES)
    shaped = {shape.name: shape.frame({name: rows[name] for name in shape.schema.names()}) for shape in shapes}
    return shaped, _crops(source, chosen.pictures)


def read_cameras(path: str | Path) -> dict[int, int]:
    """The camera of each scene in a file of table IMAGES. Identities are not read."""
    return dict(pl.read_parquet(path, columns=["scene", "camera"]).iter_rows())


def evaluate_benchmark(
    video: str, feature: np.ndarray, images: pl.DataFrame, *, extractor: str, provenance: dict
) -> dict:
    """What `results/eval_{video}_{extractor}.json` holds: the shape of an evaluated video, with one system.

    feature, images: see `retrieval_scores`.
    """
    systems = {extractor: {"retrieval": retrieval_scores(feature, images)}}
    return {"video": video, "systems": systems, "provenance": provenance}


def retrieval_scores(feature: np.ndarray, images: pl.DataFrame) -> dict:
    """Scores by the protocol of Market-1501, single query.

    feature: (N, D), rows as in `images` (table IMAGES). Similarity is the cosine. Of a query's ranking are taken out
    the pictures of the same person by the same camera, and junk (identity -1); distractors (identity 0) stay. A query
    without any match left does not count. Equal similarities keep the order of the table. AP is the mean of the
    precision at the hits.

    Returns mAP, rank1, rank5, rank10, mINP (0..1, None without queries), queries, unmatched_queries, gallery.
    """
    unit = feature / np.maximum(np.linalg.norm(feature, axis=1, keepdims=True), 1e-12)
    query = images["query"].to_numpy()
    identity, camera = (images[name].to_numpy() for name in ("identity", "camera"))
    gallery = np.flatnonzero(~query & (identity != JUNK))
    precisions, firsts, penalties, unmatched = [], [], [], 0
    for row in np.flatnonzero(query):
        ranked = gallery[(identity[gallery] != identity[row]) | (camera[gallery] != camera[row])]
        ranked = ranked[np.argsort(-(unit[ranked] @ unit[row]), kind="stable")]
        places = np.flatnonzero(identity[ranked] == identity[row]) + 1
        if not places.size:
            unmatched += 1
            continue
        precisions.append(float(np.mean(np.arange(1, len(places) + 1) / places)))
        firsts.append(int(places[0]))
        penalties.append(float(len(places) / places[-1]))
    ranks = {f"rank{n}": _mean([first <= n for first in firsts]) for n in (1, 5, 10)}
    counts = {"queries": len(firsts), "unmatched_queries": unmatched, "gallery": len(gallery)}
    return {"mAP": _mean(precisions)} | ranks | {"mINP": _mean(penalties)} | counts


def _mean(values: list) -> float | None:
    return float(np.mean(values)) if values else None


def _paths(source: str | Path) -> list[PurePosixPath]:
    if Path(source).is_dir():
        return [PurePosixPath(path.as_posix()) for path in Path(source).rglob("*") if path.is_file()]
    try:
        with tarfile.open(source) as archive:
            return [PurePosixPath(member.name) for member in archive if member.isfile()]
    except (OSError, tarfile.TarError) as error:
        raise InputError(f"{source}: expected a folder or a tar file of pictures ({error}); give another") from error


def _crops(source: str | Path, pictures: list[Picture]) -> Iterator[pl.DataFrame]:
    """Table PERSON_CROPS a row group at a time, in the order of `pictures`; nothing is written outside."""
    with contextlib.ExitStack() as stack:
        read = _reader(source, stack)
        for start in range(0, len(pictures), tables.ROW_GROUP):
            part = pictures[start : start + tables.ROW_GROUP]
            rows = [{"frame": start + i, "person": 0, "image": read(one)} for i, one in enumerate(part)]
            yield tables.PERSON_CROPS.frame(rows)


def _reader(source: str | Path, stack: contextlib.ExitStack) -> Callable[[Picture], bytes]:
    """What gives the bytes of a picture, as long as `stack` is open."""
    if Path(source).is_dir():
        paths = {(path.parent.name, path.name): path for path in Path(source).rglob("*") if path.is_file()}
        return lambda picture: paths[picture.folder, picture.name].read_bytes()
    archive = stack.enter_context(tarfile.open(source))  # noqa: SIM115 (the stack closes it)
    members = {
        (PurePosixPath(member.name).parent.name, PurePosixPath(member.name).name): member
        for member in archive
        if member.isfile()
    }
    return lambda picture: archive.extractfile(members[picture.folder, picture.name]).read()  # type: ignore[union-attr]
