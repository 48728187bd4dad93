from runner_reid.benchmarks import import_benchmark
from runner_reid.logs import logged
from runner_reid.tables import IMAGES, PERSON_CROPS, SCENES, SEQUENCES

with logged(snakemake.log[0]):
    rows, crops = import_benchmark(snakemake.input.files, role=snakemake.params.role, **snakemake.params.choices)
    for table in (IMAGES, SCENES, SEQUENCES):
        table.write(rows[table.name], snakemake.output[table.name])
    with PERSON_CROPS.writer(snakemake.output.crops) as writer:
        for part in crops:
            writer.append(part)
