from pathlib import Path

from runner_reid.arrays import RANKING, SIMILARITY
from runner_reid.logs import logged
from runner_reid.ranking import rank_scenes
from runner_reid.tables import SCENES

with logged(snakemake.log[0]):
    scenes = SCENES.read(snakemake.input.scenes)
    own = {"scene": scenes["scene"].to_numpy(), "video": snakemake.wildcards.video}
    similarities = {
        Path(path).stem: SIMILARITY.read(path, **own)["similarity"] for path in snakemake.input.similarities
    }
    ranking = rank_scenes(
        similarities, scenes["start_s"].to_numpy(), scenes["end_s"].to_numpy(), **snakemake.params.ranking
    )
    RANKING.write(snakemake.output.ranking, scene=scenes["scene"].to_numpy(), **ranking)
