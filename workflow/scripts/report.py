from pathlib import Path

from runner_reid import reporting, results
from runner_reid.logs import logged
from runner_reid.tables import FRAMES, IDENTITIES, PERSONS, SCENES, SEQUENCES, SHOES, TRACKS

with logged(snakemake.log[0]):
    material = reporting.Material(
        video=snakemake.wildcards.video,
        condition=snakemake.params.condition,
        frames=FRAMES.read(snakemake.input.frames),
        persons=PERSONS.read(snakemake.input.persons),
        tracks=TRACKS.read(snakemake.input.tracks),
        scenes=SCENES.read(snakemake.input.scenes),
        sequences=SEQUENCES.read(snakemake.input.sequences),
        shoes=SHOES.read(snakemake.input.shoes),
        identities=IDENTITIES.read(snakemake.input.identities),
        person_crops=snakemake.input.person_crops,
        shoe_crops=snakemake.input.shoe_crops,
        learned={Path(path).stem: Path(path).read_bytes() for path in snakemake.input.learned},
        evaluation=reporting.read_evaluation(snakemake.input.evaluation),
        provenance=snakemake.params.provenance
        | {"weights": results.weights_sha256(snakemake.params.weights)}
        | {"seconds": results.rule_seconds(snakemake.params.seconds)},
    )
    report = reporting.make_report(material, **snakemake.params.report)
    reporting.write_report(report, page=snakemake.output.page, laps=snakemake.output.laps)
