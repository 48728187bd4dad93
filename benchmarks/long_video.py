"""A 4K60 video of real pixels through the whole pipeline: peak memory, size of results, seconds per rule.

Takes a real clip, enlarges it to 3840x2160, repeats it forwards to the length asked for, at 60 frames per second.

    python benchmarks/long_video.py CLIP [SECONDS]
"""

import itertools
import shutil
import sys
from pathlib import Path

import av
import numpy as np
from measured import run

from runner_reid.results import rule_seconds
from runner_reid.tables import SCENES

FOLDER = Path("benchmarks/results")


def make_video(clip: Path, target: Path, seconds: float) -> None:
    """Write the frames of `clip`, over and over, as 4K60 H.264."""
    with av.open(str(clip)) as source:
        frames = [frame.to_ndarray(format="yuv420p") for frame in itertools.islice(source.decode(video=0), 300)]
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=60, options={"preset": "ultrafast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = 3840, 2160, "yuv420p"
        for number, frame in enumerate(itertools.islice(itertools.cycle(frames), round(seconds * 60))):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="yuv420p")
            picture = picture.reformat(width=3840, height=2160)
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def main(clip: str, seconds: float) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    video = FOLDER / "long.mp4"
    make_video(Path(clip), video, seconds)
    columns = ["video", "files", "condition", "role", "min_lap_s", "source", "labels"]
    row = ["long", str(video), "day", "test", "30", "file", ""]
    (FOLDER / "videos.tsv").write_text("\t".join(columns) + "\n" + "\t".join(row) + "\n")
    shutil.rmtree("results/long", ignore_errors=True)
    command = ["make", "results/report_long.html", f"VIDEOS={FOLDER}/videos.tsv", "PARAMS=docs/examples/runners.yaml"]
    wall, peak = run(command, Path())
    size = sum(path.stat().st_size for path in Path("results/long").rglob("*") if path.is_file())
    seconds_of = rule_seconds("results/long/seconds")
    print(f"{seconds:.0f} s of 4K60 ({video.stat().st_size / 1e6:.0f} MB): {wall:.0f} s")
    print(f"peak memory {peak:.2f} GB; results {size / 1e6 / (seconds / 60):.0f} MB per minute")
    print(f"scenes {SCENES.read('results/long/scenes.parquet').height}; seconds per rule {seconds_of}")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 60.0)
