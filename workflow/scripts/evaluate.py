from pathlib import Path

from runner_reid import results
from runner_reid.arrays import RANKING
from runner_reid.files import write_text
from runner_reid.logs import logged
from runner_reid.tables import FRAMES, IDENTITIES, PERSONS, SCENE_DETECTIONS, SCENES, TRACKS

with logged(snakemake.log[0]):
    frames = FRAMES.read(snakemake.input.frames)
    scenes = SCENES.read(snakemake.input.scenes)
    scene = scenes["scene"].to_numpy()
    tracks = TRACKS.read(snakemake.input.tracks).join(PERSONS.read(snakemake.input.persons), on=["frame", "person"])
    result = results.evaluate_video(
        snakemake.wildcards.video,
        scenes=scenes,
        labels=results.read_session_labels(snakemake.input.labels, snakemake.input.files, frames),
        scene_boxes=SCENE_DETECTIONS.read(snakemake.input.detections),
        track_boxes=tracks,
        rankings={Path(path).stem: RANKING.read(path, scene=scene) for path in snakemake.input.rankings},
        identities={Path(path).stem: IDENTITIES.read(path) for path in snakemake.input.identities},
        provenance=snakemake.params.provenance
        | {"weights": results.weights_sha256(snakemake.params.weights)}
        | {"seconds": results.rule_seconds(snakemake.params.seconds)},
        **snakemake.params.evaluation,
    )
    results.write_json(result, snakemake.output.result)
    results.write_json(results.comparison(result), snakemake.output.metrics)
    write_text(snakemake.output.curves, results.match_curves(result).write_csv())
