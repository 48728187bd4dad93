from pathlib import Path

from runner_reid.frames import extract_frames
from runner_reid.logs import logged
from runner_reid.tables import FRAMES

with logged(snakemake.log[0]):
    frames = extract_frames([Path(file) for file in snakemake.input.files], **snakemake.params.frames)
    FRAMES.write(frames, snakemake.output.frames)
