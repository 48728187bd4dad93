from runner_reid.logs import logged
from runner_reid.tables import FRAMES, PERSONS, RUNNERS, TRACKS
from runner_reid.tracking import track_runners

with logged(snakemake.log[0]):
    tracks = track_runners(
        FRAMES.read(snakemake.input.frames),
        PERSONS.read(snakemake.input.persons),
        RUNNERS.read(snakemake.input.runners),
        **snakemake.params.tracking,
    )
    TRACKS.write(tracks, snakemake.output.tracks)
