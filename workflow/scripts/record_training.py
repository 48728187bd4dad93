import polars as pl

from runner_reid import recording, records, results, weights
from runner_reid.logs import logged

with logged(snakemake.log[0]):
    made = records.training_record(
        weights.read_card(snakemake.input.weights),
        pl.read_csv(snakemake.input.history).to_dicts(),
        corpus=snakemake.wildcards.corpus,
        machine=records.read_cost(snakemake.params.cost),
        texts=records.read_texts(weights.card_path(snakemake.input.weights), snakemake.input.history),
        tags=records.circumstances() | records.tracked_versions(snakemake.params.tracked),
        weights=snakemake.input.weights,
        choices=snakemake.params.choices,
    )
    results.write_json(recording.record(made, outbox=snakemake.params.outbox), snakemake.output.receipt)
