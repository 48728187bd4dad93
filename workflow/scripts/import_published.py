from pathlib import Path

from runner_reid.arrays import FEATURES
from runner_reid.files import write_text
from runner_reid.logs import logged
from runner_reid.published import import_published
from runner_reid.tables import SCENES, TABLES

with logged(snakemake.log[0]):
    features = dict(zip(snakemake.output.features, snakemake.input.features, strict=True))
    published = import_published(snakemake.input.scenes, snakemake.input.appearances, features)
    SCENES.write(published.scenes, snakemake.output.scenes)
    for path, feature in published.features.items():
        FEATURES.write(path, scene=published.scenes["scene"].to_numpy(), feature=feature)
    for path in snakemake.output.unseen:
        TABLES[Path(path).stem].write(TABLES[Path(path).stem].empty(), path)
    write_text(snakemake.output.passes, published.passes)
    write_text(snakemake.output.appearances, published.appearances)
