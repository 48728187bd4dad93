"""Parquet tables: their shape is kept, and nobody sees half of one."""

import polars as pl
import pyarrow.parquet as pq
import pytest

from runner_reid import tables
from runner_reid.errors import InputError
from runner_reid.tables import ROW_GROUP, TABLES, TRACKS


def tracks(count: int, first: int = 0) -> pl.DataFrame:
    return TRACKS.frame({"frame": range(first, first + count), "person": [0] * count, "track": [1] * count})


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_an_empty_table_of_each_kind_round_trips(tmp_path, table):
    table.write(table.empty(), tmp_path / "a.parquet")
    with table.writer(tmp_path / "b.parquet"):
        pass
    for name in ("a", "b"):
        assert table.read(tmp_path / f"{name}.parquet").equals(table.empty())
        assert sum(rows.height for rows in table.batches(tmp_path / f"{name}.parquet")) == 0
    assert table.name in TABLES and set(table.key) <= set(table.columns)


@pytest.mark.parametrize("rows", [{}, [], {"frame": [], "person": [], "track": []}])
def test_no_rows_make_an_empty_table(rows):
    assert TRACKS.check(TRACKS.frame(rows)).height == 0


def test_rows_may_be_mappings_in_any_order():
    assert TRACKS.frame([{"track": 3, "frame": 1, "person": 2}]).row(0) == (1, 2, 3)


@pytest.mark.parametrize(
    "rows",
    [
        {"frame": [2], "person": [0], "image": [b""]},
        {"frame": [0, 1], "person": [0, 32767], "image": [b"\x00\xff" * 1000, b"x"]},
    ],
)
def test_values_round_trip(tmp_path, rows):
    table = tables.PERSON_CROPS.frame(rows)
    tables.PERSON_CROPS.write(table, tmp_path / "a.parquet")
    assert tables.PERSON_CROPS.read(tmp_path / "a.parquet").equals(table)
    assert pl.concat(tables.PERSON_CROPS.batches(tmp_path / "a.parquet")).equals(table)


def test_rows_are_written_in_the_order_of_their_key(tmp_path):
    table = TRACKS.frame({"frame": [3, 1, 1], "person": [0, 1, 0], "track": [7, 8, 9]})
    TRACKS.write(table, tmp_path / "a.parquet")
    assert TRACKS.read(tmp_path / "a.parquet").rows() == [(1, 0, 9), (1, 1, 8), (3, 0, 7)]


WRONG = {
    "column missing": (tracks(2).drop("track"), "expected columns .*'track'.* got .*'person': Int16}"),
    "column too many": (tracks(2).with_columns(more=1), "got .*'more'"),
    "other order": (tracks(2).select("person", "frame", "track"), "expected columns"),
    "other type": (tracks(2).with_columns(pl.col("track").cast(pl.Int64)), "'track': Int32.* got .*'track': Int64"),
    "empty cell": (tracks(2).with_columns(track=pl.lit(None, pl.Int32)), "empty cells in track"),
    "key twice": (pl.concat([tracks(2), tracks(1)]), "repeat the key frame, person"),
}


@pytest.mark.parametrize("table, says", WRONG.values(), ids=WRONG)
def test_another_shape_is_refused_and_leaves_the_old_file(tmp_path, table, says):
    path = tmp_path / "tracks.parquet"
    TRACKS.write(tracks(1), path)
    with pytest.raises(InputError, match=f"table tracks: .*{says}"):
        TRACKS.write(table, path)
    with pytest.raises(InputError, match=says), TRACKS.writer(path) as writer:
        writer.append(table)
    assert TRACKS.read(path).equals(tracks(1)) and [file.name for file in tmp_path.iterdir()] == ["tracks.parquet"]
    table.write_parquet(path)
    for read in (TRACKS.read, lambda path: list(TRACKS.batches(path))):
        with pytest.raises(InputError, match=f"{path}: .*{says}.*; delete it and run again"):
            read(path)


@pytest.mark.parametrize("before", [False, True])
def test_a_broken_stream_leaves_the_old_file(tmp_path, before):
    path = tmp_path / "tracks.parquet"
    if before:
        TRACKS.write(tracks(1), path)
    with pytest.raises(ZeroDivisionError), TRACKS.writer(path) as writer:
        writer.append(tracks(2 * ROW_GROUP))
        raise ZeroDivisionError
    assert [file.name for file in tmp_path.iterdir()] == ["tracks.parquet"] * before
    assert not before or TRACKS.read(path).equals(tracks(1))


@pytest.mark.parametrize(
    "parts, groups",
    [
        ([], []),
        ([0, 0], []),
        ([1], [1]),
        ([ROW_GROUP], [ROW_GROUP]),
        ([100, 200, 0, 300], [ROW_GROUP, ROW_GROUP, 600 - 2 * ROW_GROUP]),
        ([2 * ROW_GROUP + 1], [ROW_GROUP, ROW_GROUP, 1]),
    ],
)
def test_a_stream_is_cut_into_row_groups(tmp_path, parts, groups):
    path, first = tmp_path / "tracks.parquet", 0
    with TRACKS.writer(path) as writer:
        for count in parts:
            writer.append(tracks(count, first))
            first += count
    with pq.ParquetFile(path) as parquet:
        assert [parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups)] == groups
    assert [rows.height for rows in TRACKS.batches(path)] == groups
    assert TRACKS.read(path).equals(tracks(sum(parts)))


@pytest.mark.parametrize("counts", [[], [0], [3], [0, 300, 0, 7]])
def test_parts_are_concatenated_in_their_order(tmp_path, counts):
    paths, first = [], 0
    for number, count in enumerate(counts):
        paths.append(str(tmp_path / f"{number}.parquet"))
        TRACKS.write(tracks(count, first), paths[-1])
        first += count
    TRACKS.concatenate(paths, tmp_path / "all.parquet")
    assert TRACKS.read(tmp_path / "all.parquet").equals(tracks(sum(counts)))


def flip(data: bytes) -> bytes:
    return data[:20] + bytes(value ^ 255 for value in data[20:60]) + data[60:]


@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: b"no table at all\n" * 9, lambda data: data[: len(data) // 2], flip],
    ids=["zero bytes", "text", "half", "flipped bits"],
)
@pytest.mark.parametrize("read", [TRACKS.read, lambda path: list(TRACKS.batches(path))], ids=["read", "batches"])
def test_damage_is_told_in_one_line(tmp_path, damage, read):
    path = tmp_path / "tracks.parquet"
    TRACKS.write(tracks(50), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"expected a Parquet table tracks .*; delete it and run again") as error:
        read(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_a_reader_may_stop_early(tmp_path):
    TRACKS.write(tracks(3), tmp_path / "tracks.parquet")
    with pytest.raises(OSError, match="from outside"):
        for _ in TRACKS.batches(tmp_path / "tracks.parquet"):
            raise OSError("from outside")


def test_the_docs_show_every_column():
    lines = TRACKS.markdown().splitlines()
    assert len(lines) == 2 + len(TRACKS.columns) and lines[2].startswith("| **frame** | Int32 |")
    assert lines[4].startswith("| track | Int32 |")
