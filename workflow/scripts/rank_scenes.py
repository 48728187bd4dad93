from pathlib import Path

from runner_reid.arrays import RANKING, SIMILARITY
from runner_reid.identity import seen_together
from runner_reid.logs import logged
from runner_reid.ranking import allowed_pairs, system_similarity
from runner_reid.tables import SCENES

with logged(snakemake.log[0]):
    scenes = SCENES.read(snakemake.input.scenes)
    start_s, end_s = scenes["start_s"].to_numpy(), scenes["end_s"].to_numpy()
    similarities = {
        Path(path).stem: SIMILARITY.read(path, scene=scenes["scene"].to_numpy())["similarity"]
        for path in snakemake.input.similarities
    }
    allowed = allowed_pairs(start_s, min_lap_s=float(snakemake.params.min_lap_s)) & ~seen_together(start_s, end_s)
    RANKING.write(
        snakemake.output.ranking,
        scene=scenes["scene"].to_numpy(),
        similarity=system_similarity(similarities, allowed, **snakemake.params.system),
        allowed=allowed,
    )
