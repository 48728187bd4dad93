from runner_reid.arrays import RANKING
from runner_reid.identity import assign_identities
from runner_reid.logs import logged
from runner_reid.tables import IDENTITIES

with logged(snakemake.log[0]):
    ranking = RANKING.read(snakemake.input.ranking)
    runner, confidence = assign_identities(ranking["similarity"], ranking["allowed"], **snakemake.params.identity)
    IDENTITIES.write(
        IDENTITIES.frame({"scene": ranking["scene"], "runner": runner, "confidence": confidence}),
        snakemake.output.identities,
    )
