"""What a job says: one line where its input or the disk is at fault, everything else as it is."""

import contextlib
import errno
import logging
from pathlib import Path

import numpy as np
import pytest

from runner_reid import arrays, files, results, tables
from runner_reid.errors import InputError
from runner_reid.logs import logged

FULL = Path("/dev/full")


@pytest.fixture(autouse=True)
def _handlers():
    """Leave logging as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        with contextlib.suppress(OSError):
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_job_that_ends_well_only_logs(tmp_path, capsys):
    path = tmp_path / "video" / "rule.log"
    with logged(str(path)):
        logging.getLogger("runner_reid.frames").info("%d frames", 3)
        logging.getLogger("runner_reid.frames").debug("not shown")
    assert path.read_text().endswith(" runner_reid.frames: 3 frames\n") and len(path.read_text().splitlines()) == 1
    assert capsys.readouterr() == ("", "")


def test_a_log_starts_anew(tmp_path):
    (tmp_path / "rule.log").write_text("of another run\n")
    with logged(tmp_path / "rule.log"):
        pass
    assert (tmp_path / "rule.log").read_text() == ""


@pytest.mark.parametrize(
    "error, line",
    [
        (InputError("a.mp4: no such file; expected one"), "error: a.mp4: no such file; expected one"),
        (InputError("two\nlines   and room"), "error: two lines and room"),
        (OSError(errno.ENOSPC, "No space left on device", "b.npz"), "error: b.npz: no space left on the disk; free"),
        (OSError(errno.EDQUOT, "Quota exceeded", "b.npz"), "error: b.npz: no space left on the disk; free"),
    ],
)
def test_the_user_reads_one_line(tmp_path, capsys, error, line):
    with pytest.raises(SystemExit) as stop, logged(tmp_path / "rule.log"):
        raise error
    assert stop.value.code == 1
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith(line) and printed.err.count("\n") == 1
    assert printed.err in (tmp_path / "rule.log").read_text()


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), OSError(errno.EACCES, "Permission denied"), KeyboardInterrupt()]
)
def test_a_bug_keeps_its_traceback(tmp_path, error):
    with pytest.raises(type(error)) as raised, logged(tmp_path / "rule.log"):
        raise error
    assert raised.value is error


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, a disk that is always full")
@pytest.mark.parametrize("log", ["rule.log", FULL], ids=["log elsewhere", "log on the full disk"])
@pytest.mark.parametrize("kind", ["parquet", "stream", "npz", "json"])
def test_a_full_disk_is_told_in_one_line(tmp_path, monkeypatch, capsys, kind, log):
    path = tmp_path / f"full.{kind}"
    path.symlink_to(FULL)
    for module in (tables, arrays, files):
        monkeypatch.setattr(module, "atomic_path", lambda path: contextlib.nullcontext(Path(path)))
    rng = np.random.default_rng(0)
    table = tables.RUNNERS.frame({"frame": range(9999), "person": [0] * 9999, "score": rng.random(9999)})

    def stream():
        with tables.RUNNERS.writer(path) as writer:
            writer.append(table)

    write = {
        "parquet": lambda: tables.RUNNERS.write(table, path),
        "stream": stream,
        "npz": lambda: arrays.FEATURES.write(path, scene=np.arange(9), feature=rng.random((9, 9999))),
        "json": lambda: results.write_json({"list": list(range(9999))}, path),
    }[kind]
    with pytest.raises(SystemExit) as stop, logged(tmp_path / log):
        write()
    assert stop.value.code == 1
    assert "no space left on the disk; free some and run again" in capsys.readouterr().err


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, a disk that is always full")
def test_a_log_that_cannot_be_written_stops_nothing(capsys):
    with logged(FULL):
        logging.info("said, but not kept")
    assert capsys.readouterr() == ("", "")
