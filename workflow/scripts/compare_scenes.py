import numpy as np

from runner_reid.arrays import FEATURES, SIMILARITY
from runner_reid.logs import logged
from runner_reid.similarity import compare

with logged(snakemake.log[0]):
    features = FEATURES.read(snakemake.input.features)
    similarity = compare(features["feature"], metric=snakemake.params.metric)
    SIMILARITY.write(
        snakemake.output.similarity,
        video=np.array(snakemake.wildcards.video),
        scene=features["scene"],
        similarity=similarity,
    )
