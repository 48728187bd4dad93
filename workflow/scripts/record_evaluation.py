from runner_reid import recording, results
from runner_reid.logs import logged

with logged(snakemake.log[0]):
    made = recording.evaluation_record(
        results.read_json(snakemake.input.result),
        params=snakemake.params.choices,
        condition=snakemake.params.condition,
        texts=recording.read_texts(snakemake.input.result, snakemake.params.report),
        tags=recording.circumstances() | recording.tracked_versions(snakemake.params.tracked),
    )
    results.write_json(recording.record(made, outbox=snakemake.params.outbox), snakemake.output.receipt)
