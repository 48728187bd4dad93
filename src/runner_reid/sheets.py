"""What a user writes: tab-separated sheets and parameters, checked against their schemas."""

import difflib
import glob
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import jsonschema
import pandas as pd
import yaml

from runner_reid.errors import InputError


def read_sheet(path: str | Path) -> pd.DataFrame:
    """A tab-separated sheet as text, empty cells as "". Raises InputError that names the line of a bad row."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a tab-separated sheet") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a text file in UTF-8 ({error}); save it as UTF-8") from error
    rows = {
        number: [cell.strip() for cell in line.split("\t")]
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.startswith("#")
    }
    if not rows:
        raise InputError(f"{path}: is empty; expected a line of column names and a line per row")
    header = rows.pop(min(rows))
    for number, row in rows.items():
        if len(row) != len(header):
            raise InputError(
                f"{path}: line {number} has {len(row)} cells; "
                f"expected {len(header)} separated by tabs ({', '.join(header)})"
            )
    sheet = pd.DataFrame(list(rows.values()), columns=header, dtype=str)
    repeated = sheet[sheet[header[0]].duplicated()][header[0]].tolist()
    if repeated:
        raise InputError(f"{path}: {header[0]} {repeated[0]!r} stands in two rows; expected each once")
    return sheet


def check_sheet(sheet: pd.DataFrame, schema: str | Path, *, name: str) -> pd.DataFrame:
    """Return `sheet` if every row fits the JSON schema in the file `schema`; raise InputError that names the row."""
    validator = _validator(schema)
    for number, row in enumerate(sheet.to_dict("records"), start=2):
        _check(row, validator, name=f"{name}: row {number}")
    return sheet


def check_params(params: dict, schema: str | Path, *, name: str) -> dict:
    """Return `params` if they fit the JSON schema in the file `schema`; raise InputError that says what does not."""
    _check(params, _validator(schema), name=name)
    return params


def _validator(schema: str | Path) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(yaml.safe_load(Path(schema).read_text()))


def _check(params: dict, validator: jsonschema.Draft202012Validator, *, name: str) -> None:
    for error in sorted(validator.iter_errors(params), key=lambda error: list(map(str, error.absolute_path))):
        where = ".".join(str(key) for key in error.absolute_path)
        raise InputError(f"{name}: {where + ': ' if where else ''}{_explained(error)}; correct it and run again")


def _explained(error: jsonschema.ValidationError) -> str:
    if error.validator != "additionalProperties":
        return error.message
    known = list(error.schema.get("properties", {}))
    unknown = next(key for key in error.instance if key not in known)
    close = difflib.get_close_matches(unknown, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known)}"
    return f"{unknown!r} is not known ({hint})"


def video_files(pattern: str, *, known: Iterable[str] = ()) -> list[str]:
    """The files of one session in name order: a path, or a glob; numbers in names count as numbers.

    known: paths that can be fetched, so a glob finds them before they are there.

    >>> video_files("clips/a*.mp4", known=["clips/a10.mp4", "clips/a2.mp4", "clips/b.mp4"])
    ['clips/a2.mp4', 'clips/a10.mp4']
    """
    found = {*glob.glob(pattern), *(path for path in known if PurePosixPath(path).match(pattern))}
    return sorted(found or {pattern}, key=_natural)


def _natural(name: str) -> list:
    """A key for sorting names by the numbers in them.

    >>> sorted(["a10.mp4", "a2.mp4"], key=_natural)
    ['a2.mp4', 'a10.mp4']
    """
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]
