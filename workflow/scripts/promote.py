from runner_reid.logs import logged
from runner_reid.weights import promote

with logged(snakemake.log[0]):
    for weights in snakemake.input:
        promote(weights, snakemake.params.folder)
