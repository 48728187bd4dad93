from runner_reid import models
from runner_reid.logs import logged

with logged(snakemake.log[0]):
    run = models.start(threads=snakemake.threads, data=list(snakemake.input), **snakemake.params.run)
    videos = models.per_video(sequences=snakemake.input.sequences, crops=snakemake.input.crops)
    training = models.train_extractor(videos, method=snakemake.params.method, **snakemake.params.choices, run=run)
    models.finish(training, run, data=list(snakemake.input), **snakemake.output, **snakemake.params.card)
