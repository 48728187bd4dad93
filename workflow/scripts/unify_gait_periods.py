from runner_reid.gait import unify_gait_periods
from runner_reid.logs import logged
from runner_reid.tables import SCENE_DETECTIONS, SCENES, SEQUENCES

with logged(snakemake.log[0]):
    sequences = unify_gait_periods(
        SCENE_DETECTIONS.read(snakemake.input.detections), SCENES.read(snakemake.input.scenes), **snakemake.params.gait
    )
    SEQUENCES.write(sequences, snakemake.output.sequences)
