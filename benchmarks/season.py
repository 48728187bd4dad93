"""A season, simulated: jobs, hours and storage of many videos, from what one video was measured to take.

python benchmarks/season.py night --videos 1000 --minutes 20 --nodes 4

Reads results/{video}/seconds and the sizes of results/{video}; the time of a job grows with the length of the video.
"""

import argparse
from pathlib import Path

import av

OTHERS = ("render_practice", "report")
"""Rules that are not part of the main job."""

JOBS_OF_SLURM = 7
"""Per video, by the groups of profiles/slurm: its frames, four time ranges, its passages, its identities."""

CORES_PER_NODE = 16


def length_s(path: Path) -> float:
    """How long a video is."""
    with av.open(str(path)) as container:
        return container.duration / av.time_base


def main(video: str, videos: int, minutes: float, nodes: int) -> None:
    factor = minutes * 60 / length_s(Path(f"data/videos/{video}.mp4"))
    folder = Path(f"results/{video}")
    jobs = [path for path in (folder / "seconds").glob("*.tsv") if path.name.split(".")[0] not in OTHERS]
    rows = [path.read_text().splitlines()[1].split("\t") for path in jobs]
    core_s = sum(float(row[-1]) for row in rows) * factor
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) * factor
    print(f"a video of {minutes:g} min: {len(jobs) + 1} steps, {core_s / 3600:.1f} core hours, {size / 1e9:.2f} GB")
    hours = core_s * videos / 3600
    hours = core_s * videos / 3600
    days = hours / nodes / CORES_PER_NODE / 24
    print(
        f"{videos} videos: {videos * (len(jobs) + 1)} steps in {videos * JOBS_OF_SLURM} jobs of SLURM, {hours:.0f} core"
    )
    print(
        f"hours ({days:.1f} days on {nodes} nodes of {CORES_PER_NODE} cores), {size * videos / 1e12:.2f} TB of results"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", help="one that was run, of data/videos")
    parser.add_argument("--videos", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--nodes", type=int, default=4)
    main(**vars(parser.parse_args()))
