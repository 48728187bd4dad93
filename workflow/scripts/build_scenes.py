from runner_reid.logs import logged
from runner_reid.scenes import build_scenes, detections_of
from runner_reid.tables import FRAMES, PERSONS, SCENE_DETECTIONS, SCENES, TRACKS

with logged(snakemake.log[0]):
    detections = detections_of(
        TRACKS.read(snakemake.input.tracks), PERSONS.read(snakemake.input.persons), FRAMES.read(snakemake.input.frames)
    )
    scenes, scene_detections = build_scenes(detections, **snakemake.params.scenes)
    SCENES.write(scenes, snakemake.output.scenes)
    SCENE_DETECTIONS.write(scene_detections, snakemake.output.detections)
