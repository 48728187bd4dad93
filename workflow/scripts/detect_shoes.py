from pathlib import Path

from runner_reid.logs import logged
from runner_reid.networks import prepare
from runner_reid.shoes import detect_shoes
from runner_reid.tables import FRAMES, PERSONS, SEQUENCES, SHOE_CROPS, SHOES

with logged(snakemake.log[0]):
    found, cut_out = detect_shoes(
        [Path(file) for file in snakemake.input.files],
        FRAMES.read(snakemake.input.frames),
        PERSONS.read(snakemake.input.persons),
        SEQUENCES.read(snakemake.input.sequences),
        **snakemake.params.shoes,
        weights=snakemake.input.weights,
        sha256=snakemake.params.sha256,
        training=snakemake.params.training,
        device=prepare(threads=snakemake.threads),
    )
    SHOES.write(found, snakemake.output.shoes)
    SHOE_CROPS.write(cut_out, snakemake.output.crops)
