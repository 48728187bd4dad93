"""What running the main job as a workflow costs: how much of its wall time is not the library's own work.

python benchmarks/overhead.py night_short [--configfile params.yaml overlay.yaml --config videos=sheet.tsv]

Runs every step of a video anew on two cores (its video has to be there). Snakemake measures each job from its start to
its end; what of the wall time no job covers is planning and scheduling. In a job, starting Python and importing is not
work either: that is timed alone, for each module that a script imports.
"""

import subprocess
import sys
import time
from pathlib import Path

CORES = 2
STEPS = {
    "extract_frames": "frames",
    "segment_persons": "persons",
    "gather_persons": "tables",
    "classify_runners": "classification",
    "track_runners": "tracking",
    "build_scenes": "scenes",
    "unify_gait_periods": "gait",
    "detect_shoes": "shoes",
    "extract_features": "features",
    "compare_scenes": "similarity",
    "rank_scenes": "ranking",
    "assign_identities": "identity",
}
"""Each rule and the module of its script that takes longest to import."""


def timed(command: list[str]) -> tuple[float, float]:
    """When a command began and ended, in seconds of the clock. Raises if it fails."""
    began = time.time()
    subprocess.run(command, check=True, capture_output=True)
    return began, time.time()


def jobs_since(folder: Path, began: float) -> list[tuple[str, float, float]]:
    """Rule, start and end of each job that ended after `began`, from the files of `benchmark:`."""
    jobs = []
    for path in folder.glob("*.tsv"):
        ended, rule = path.stat().st_mtime, path.name.split(".")[0]
        if ended > began and rule in STEPS:
            jobs.append((rule, ended - float(path.read_text().splitlines()[1].split("\t")[0]), ended))
    return jobs


def covered(intervals: list[tuple[float, float]]) -> float:
    """How many seconds lie in at least one of the intervals.

    >>> covered([(0, 2), (1, 3), (5, 6)])
    4
    """
    total, reached = 0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def main(video: str, given: list[str]) -> None:
    call = ["snakemake", "--cores", str(CORES), *given]
    target = ["--", f"results/eval_{video}.json"]
    plan_began, plan_ended = timed([*call, "--dry-run", "--forcerun", *STEPS, *target])
    began, ended = timed([*call, "--forcerun", *STEPS, *target])
    jobs = jobs_since(Path(f"results/{video}/seconds"), began)
    wall = ended - began
    busy = covered([(start, end) for _, start, end in jobs])
    imports = 0.0
    for rule, module in STEPS.items():
        start, end = timed([sys.executable, "-c", f"import runner_reid.{module}"])
        imports += (end - start) * sum(name == rule for name, _, _ in jobs)
    spent = sum(end - start for _, start, end in jobs)
    started_up = imports * busy / spent
    print(f"{video}: {len(jobs)} jobs, wall {wall:.1f} s, of which some job runs {busy:.1f} s ({spent:.1f} s of jobs)")
    print(f"planning {plan_ended - plan_began:.1f} s; imports {imports:.1f} s of the jobs")
    print(f"not the library's own work: {(wall - busy + started_up) / wall:.1%} of the wall time")


if __name__ == "__main__":
    given = sys.argv[2:] or ["--configfile", "params.yaml", "--config", "videos=data/videos.tsv"]
    main(sys.argv[1] if len(sys.argv) > 1 else "night_short", given)
