from pathlib import Path

from runner_reid import practice, tables
from runner_reid.logs import logged

with logged(snakemake.log[0]):
    truth = practice.render_practice(snakemake.output.video, **snakemake.params.camera, **snakemake.params.video)
    tables.TRUTH_PERSONS.write(truth.persons, snakemake.output.persons)
    tables.TRUTH_SHOES.write(truth.shoes, snakemake.output.shoes)
    tables.TRUTH_PASSES.write(truth.passes, snakemake.output.passes)
    Path(snakemake.output.mot).write_text(practice.mot_text(truth.persons))
    Path(snakemake.output.identities).write_text(practice.identities_text(truth.passes))
