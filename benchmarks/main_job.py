"""The main job as a newcomer meets it: a fresh clone in an empty folder, set-up, then raw video to answer.

python benchmarks/main_job.py [night]
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from measured import run


def main(video: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "--quiet", ".", f"{folder}/clone"], check=True)
        clone = Path(folder) / "clone"
        seconds, _ = run(["make", "setup"], clone)
        print(f"set-up: {seconds:.0f} s")
        seconds, peak = run(["make", f"results/eval_{video}.json"], clone)
        print(f"results/eval_{video}.json: {seconds:.0f} s, peak memory {peak:.2f} GB")
        subprocess.run([sys.executable, Path(__file__).with_name("steps.py").resolve(), video], cwd=clone, check=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "night")
