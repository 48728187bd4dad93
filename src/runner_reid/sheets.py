"""The sheets a user writes: tab-separated tables of text."""

import glob
from pathlib import Path

import pandas as pd

from runner_reid.errors import InputError


def read_sheet(path: str | Path) -> pd.DataFrame:
    """A tab-separated sheet as text, empty cells as "". Raises InputError that names the line of a bad row."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a tab-separated sheet") from error
    rows = [line.split("\t") for line in lines if line.strip() and not line.startswith("#")]
    if not rows:
        raise InputError(f"{path}: is empty; expected a line of column names and a line per row")
    header = [name.strip() for name in rows[0]]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise InputError(
                f"{path}: row {number} has {len(row)} cells, expected {len(header)} separated by tabs ({', '.join(header)})"
            )
    sheet = pd.DataFrame([[cell.strip() for cell in row] for row in rows[1:]], columns=header, dtype=str)
    repeated = sheet[sheet[header[0]].duplicated()][header[0]].tolist()
    if repeated:
        raise InputError(f"{path}: {header[0]} {repeated[0]!r} stands in two rows; expected each once")
    return sheet


def video_files(pattern: str) -> list[str]:
    """The files of one session in name order: a path, or a glob; numbers in names count as numbers (a2 before a10)."""
    found = glob.glob(pattern)
    return sorted(found, key=_natural) if found else [pattern]


def _natural(name: str) -> list:
    """
    >>> sorted(["a10.mp4", "a2.mp4"], key=_natural)
    ['a2.mp4', 'a10.mp4']
    """
    import re

    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
