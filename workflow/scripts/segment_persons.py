from pathlib import Path

from runner_reid.frames import time_range
from runner_reid.logs import logged
from runner_reid.networks import prepare
from runner_reid.persons import segment_persons
from runner_reid.tables import FRAMES, PERSON_CROPS, PERSONS

with logged(snakemake.log[0]):
    frames = time_range(FRAMES.read(snakemake.input.frames), snakemake.wildcards.scatteritem)
    parts = segment_persons(
        [Path(file) for file in snakemake.input.files],
        frames,
        **snakemake.params.persons,
        weights=snakemake.input.weights,
        sha256=snakemake.params.sha256,
        training=snakemake.params.training,
        device=prepare(threads=snakemake.threads),
    )
    with PERSONS.writer(snakemake.output.persons) as persons, PERSON_CROPS.writer(snakemake.output.crops) as crops:
        for found, cut_out in parts:
            persons.append(found)
            crops.append(cut_out)
