from runner_reid.arrays import RANKING
from runner_reid.identity import assign_identities
from runner_reid.logs import logged
from runner_reid.tables import IDENTITIES, SCENES

with logged(snakemake.log[0]):
    scene = SCENES.read(snakemake.input.scenes)["scene"].to_numpy()
    ranking = RANKING.read(snakemake.input.ranking, scene=scene)
    runner, confidence = assign_identities(ranking["similarity"], ranking["allowed"], **snakemake.params.identity)
    IDENTITIES.write(
        IDENTITIES.frame({"scene": scene, "runner": runner, "confidence": confidence}),
        snakemake.output.identities,
    )
