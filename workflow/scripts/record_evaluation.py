from runner_reid import recording, records, results
from runner_reid.logs import logged

with logged(snakemake.log[0]):
    made = records.evaluation_record(
        results.read_json(snakemake.input.result),
        params=snakemake.params.choices,
        condition=snakemake.params.condition,
        texts=records.read_texts(snakemake.input.result, snakemake.params.report),
        tags=records.circumstances() | records.tracked_versions(snakemake.params.tracked),
    )
    results.write_json(recording.record(made, outbox=snakemake.params.outbox), snakemake.output.receipt)
