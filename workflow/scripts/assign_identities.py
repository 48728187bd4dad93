from runner_reid.arrays import RANKING
from runner_reid.identity import assign_identities
from runner_reid.logs import logged
from runner_reid.tables import IDENTITIES, SCENES

with logged(snakemake.log[0]):
    scenes = SCENES.read(snakemake.input.scenes)
    scene = scenes["scene"].to_numpy()
    ranking = RANKING.read(snakemake.input.ranking, scene=scene)
    found = assign_identities(
        ranking["similarity"], ranking["allowed"], scenes["start_s"].to_numpy(), **snakemake.params.identity
    )
    IDENTITIES.write(IDENTITIES.frame({"scene": scene, **found.columns}), snakemake.output.identities)
