import os

from runner_reid import sources
from runner_reid.logs import logged

with logged(snakemake.log[0]):
    sources.fetch(
        snakemake.output.source,
        url=snakemake.params.url,
        sha256=snakemake.params.sha256,
        size=snakemake.params.bytes,
        mirror=os.environ.get("RUNNER_REID_MIRROR", ""),
    )
