from runner_reid import models
from runner_reid.logs import logged

with logged(snakemake.log[0]):
    run = models.start(threads=snakemake.threads, data=list(snakemake.input), **snakemake.params.run)
    files = snakemake.input
    training = models.train_runners(
        models.per_video(persons=files.persons, crops=files.crops, truth=files.truth),
        models.per_video(persons=files.held_persons, crops=files.held_crops, truth=files.held_truth),
        **snakemake.params.choices,
        batch=snakemake.params.batch,
        run=run,
    )
    models.finish(training, run, data=list(snakemake.input), **snakemake.output, **snakemake.params.card)
