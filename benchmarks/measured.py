"""Running a command and watching it: seconds, and the peak memory of all its processes together."""

import subprocess
import threading
import time
from pathlib import Path

import psutil


def run(command: list[str], folder: Path) -> tuple[float, float]:
    """Seconds of wall time, and the largest sum of resident memory (GB) of the command and its children.

    Memory that processes share is counted once per process, so the sum is an upper bound. Raises if it fails.
    """
    started, peak, ended = time.monotonic(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.5):
            peak = max(peak, _resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        subprocess.run(command, cwd=folder, check=True)
    finally:
        ended.set()
        watcher.join()
    return time.monotonic() - started, peak / 1e9


def _resident() -> int:
    total = 0
    for child in psutil.Process().children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total
