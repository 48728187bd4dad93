from runner_reid.arrays import FEATURES
from runner_reid.benchmarks import retrieval_scores
from runner_reid.logs import logged
from runner_reid.results import write_json
from runner_reid.tables import IMAGES

with logged(snakemake.log[0]):
    images = IMAGES.read(snakemake.input.images)
    features = FEATURES.read(snakemake.input.features, scene=images["scene"].to_numpy())
    scores = retrieval_scores(features["feature"], images)
    write_json({**snakemake.params.said, "scores": scores}, snakemake.output.result)
