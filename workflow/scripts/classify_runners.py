from runner_reid.classification import classify_runners
from runner_reid.logs import logged
from runner_reid.networks import prepare
from runner_reid.tables import FRAMES, PERSONS, RUNNERS

with logged(snakemake.log[0]):
    runners = classify_runners(
        FRAMES.read(snakemake.input.frames),
        PERSONS.read(snakemake.input.persons),
        snakemake.input.crops,
        weights=snakemake.input.weights,
        training=snakemake.params.training,
        tracking=snakemake.params.tracking,
        device=prepare(threads=snakemake.threads),
        **snakemake.params.runners,
    )
    RUNNERS.write(runners, snakemake.output.runners)
