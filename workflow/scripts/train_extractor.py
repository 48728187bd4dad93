from runner_reid import models
from runner_reid.logs import logged

with logged(snakemake.log[0]):
    run = models.start(threads=snakemake.threads, data=list(snakemake.input), **snakemake.params.run)
    files = snakemake.input
    training = models.train_extractor(
        models.per_video(sequences=files.sequences, crops=files.crops),
        cameras=files.cameras,
        method=snakemake.params.method,
        crops=snakemake.params.crops,
        **snakemake.params.choices,
        run=run,
    )
    models.finish(training, run, data=list(snakemake.input), **snakemake.output, **snakemake.params.card)
