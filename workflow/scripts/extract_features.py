from runner_reid.arrays import FEATURES
from runner_reid.features import extract_features
from runner_reid.logs import logged
from runner_reid.networks import prepare
from runner_reid.tables import SCENES, SEQUENCES

with logged(snakemake.log[0]):
    scene, feature = extract_features(
        snakemake.params.extractor,
        scenes=SCENES.read(snakemake.input.scenes),
        sequences=SEQUENCES.read(snakemake.input.sequences),
        crops_path=snakemake.input.crops,
        weights=snakemake.input.weights,
        training=snakemake.params.training,
        device=prepare(threads=snakemake.threads),
    )
    FEATURES.write(snakemake.output.features, scene=scene, feature=feature)
