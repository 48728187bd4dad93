"""What a job says: its log file, and one clear line if what it was given cannot be used."""

import contextlib
import errno
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from runner_reid.errors import InputError


class LogFile(logging.FileHandler):
    """A log file that stays silent when it cannot be written: a full disk ends a job by one line, not by its log."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()


@contextlib.contextmanager
def logged(path: str | Path) -> Iterator[None]:
    """Log to the file `path`; on an InputError or a full disk print one line and exit with 1."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    handler = LogFile(path, mode="w")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", handlers=[handler], force=True)
    try:
        yield
    except InputError as error:
        _stop(str(error))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _stop(f"{error.filename or path}: no space left on the disk; free some and run again, finished files are kept")
    finally:
        handler.flush()


def _stop(message: str) -> None:
    line = f"error: {' '.join(message.split())}"
    logging.error(line)
    print(line, file=sys.stderr)
    raise SystemExit(1)
