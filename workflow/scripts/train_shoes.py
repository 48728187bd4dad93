from runner_reid import models
from runner_reid.logs import logged
from runner_reid.weights import load_weights

with logged(snakemake.log[0]):
    run = models.start(threads=snakemake.threads, data=list(snakemake.input), **snakemake.params.run)
    files = snakemake.input
    training = models.train_shoes(
        models.per_video(file=files.videos, frames=files.frames, persons=files.persons, shoes=files.shoes),
        models.per_video(
            file=files.held_videos, frames=files.held_frames, persons=files.held_persons, shoes=files.held_shoes
        ),
        **snakemake.params.choices,
        detect=snakemake.params.detect,
        initial=load_weights(files.initial, params=snakemake.params.initial),
        run=run,
    )
    models.finish(training, run, data=list(snakemake.input), **snakemake.output, **snakemake.params.card)
