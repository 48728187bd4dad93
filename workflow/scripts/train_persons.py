from runner_reid import models
from runner_reid.logs import logged

with logged(snakemake.log[0]):
    run = models.start(threads=snakemake.threads, data=list(snakemake.input), **snakemake.params.run)
    files = snakemake.input
    training = models.train_persons(
        models.per_video(file=files.videos, frames=files.frames, persons=files.persons),
        models.per_video(file=files.held_videos, frames=files.held_frames, persons=files.held_persons),
        **snakemake.params.choices,
        detect=snakemake.params.detect,
        run=run,
    )
    models.finish(training, run, data=list(snakemake.input), **snakemake.output, **snakemake.params.card)
