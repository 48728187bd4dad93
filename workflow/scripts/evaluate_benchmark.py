from runner_reid.arrays import FEATURES
from runner_reid.benchmarks import evaluate_benchmark
from runner_reid.logs import logged
from runner_reid.results import weights_sha256, write_json
from runner_reid.tables import IMAGES

with logged(snakemake.log[0]):
    images = IMAGES.read(snakemake.input.images)
    features = FEATURES.read(snakemake.input.features, scene=images["scene"].to_numpy())
    result = evaluate_benchmark(
        snakemake.wildcards.video,
        features["feature"],
        images,
        extractor=snakemake.wildcards.extractor,
        provenance=snakemake.params.provenance | {"weights": weights_sha256([*snakemake.params.weights])},
    )
    write_json(result, snakemake.output.result)
