from runner_reid.logs import logged
from runner_reid.tables import PERSON_CROPS, PERSONS

with logged(snakemake.log[0]):
    PERSONS.concatenate(snakemake.input.persons, snakemake.output.persons)
    PERSON_CROPS.concatenate(snakemake.input.crops, snakemake.output.crops)
