from pathlib import Path

from runner_reid.arrays import RANKING, SIMILARITY
from runner_reid.identity import seen_together
from runner_reid.logs import logged
from runner_reid.ranking import allowed_pairs
from runner_reid.similarity import fuse
from runner_reid.tables import SCENES

with logged(snakemake.log[0]):
    scenes = SCENES.read(snakemake.input.scenes)
    start_s, end_s = scenes["start_s"].to_numpy(), scenes["end_s"].to_numpy()
    similarities = {
        Path(path).stem: SIMILARITY.read(path, scene=scenes["scene"].to_numpy())["similarity"]
        for path in snakemake.input.similarities
    }
    RANKING.write(
        snakemake.output.ranking,
        scene=scenes["scene"].to_numpy(),
        similarity=fuse(similarities, snakemake.params.weights),
        allowed=allowed_pairs(start_s, min_lap_s=float(snakemake.params.min_lap_s)) & ~seen_together(start_s, end_s),
    )
