"""What comes from outside: fetched from a mirror or its home, and checked."""

import hashlib
import http.client
import logging
import os
import urllib.request
from pathlib import Path
from typing import BinaryIO

from runner_reid.errors import InputError
from runner_reid.files import atomic_path

log = logging.getLogger(__name__)

CHUNK = 1 << 20


def fetch(path: str, *, url: str, sha256: str, size: int | None, mirror: str) -> None:
    """Bring the file that lies at `path` in `mirror` (a folder or a URL prefix; "" for none) or at `url` to `path`.

    size: bytes expected, None where only the sha256 is known; both are checked while streaming, and the file is moved
    into place only if they are right. Raises InputError that says which file, what was expected, and where to put it by
    hand.
    """
    homes = [f"{mirror.rstrip('/')}/{path}"] if mirror else []
    homes += [url] if url else []
    failures = []
    for home in homes:
        try:
            with _open(home) as source, atomic_path(path) as temporary:
                _copy_checked(source, temporary, sha256=sha256, size=size)
            log.info("%s: fetched from %s", path, home)
            return
        except (OSError, http.client.HTTPException, ValueError) as error:
            failures.append(f"{home}: {' '.join(str(error).split())}")
    raise InputError(
        f"{path}: could not be fetched ({'; '.join(failures) or 'no mirror and no url'}); expected {_amount(size)}"
        f"the sha256 {sha256}; put the file there by hand, or set RUNNER_REID_MIRROR to a folder that holds it"
    )


def _amount(size: int | None) -> str:
    return "" if size is None else f"{size} bytes and "


def _open(home: str) -> BinaryIO:
    if home.startswith(("https://", "http://")):
        return urllib.request.urlopen(home, timeout=60)
    return Path(home).open("rb")


def _copy_checked(source: BinaryIO, target: str | os.PathLike, *, sha256: str, size: int | None) -> None:
    digest, count = hashlib.sha256(), 0
    with Path(target).open("wb") as file:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            count += len(chunk)
            if size is not None and count > size:
                break
            file.write(chunk)
    if size is not None and count != size:
        raise ValueError(f"{'more than ' if count > size else ''}{count} bytes instead of {size}")
    if digest.hexdigest() != sha256:
        raise ValueError(f"sha256 {digest.hexdigest()} instead of {sha256}")
