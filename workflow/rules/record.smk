# What was found and learned, as runs of MLflow. No result waits for this: receipts are targets of their own, and a
# record that cannot be sent waits in results/mlflow/outbox (docs/operations.md).
#
# INPUTS   results/eval_{video}.json, results/weights/{corpus}/{network}.{pt,csv}
# OUTPUTS  results/mlflow/receipts/eval_{video}.json
#          results/mlflow/receipts/weights/{corpus}/{network}.json


rule record_evaluation:
    input:
        result="results/eval_{video}.json",
    output:
        receipt="results/mlflow/receipts/eval_{video}.json",
    log:
        "logs/{video}/record_evaluation.log",
    wildcard_constraints:
        video=f"{ANY_VIDEO}|({one_of(BENCHMARKS)})_({one_of(config['extractors'])})",
    params:
        code=fingerprint("recording"),
        choices=config,
        condition=lambda wildcards: videos["condition"].get(wildcards.video, "benchmark"),
        report="results/report_{video}.html",
        tracked=TRACKED,
        outbox="results/mlflow/outbox",
    script:
        "../scripts/record_evaluation.py"


rule record_training:
    input:
        weights="results/weights/{corpus}/{network}.pt",
        history="results/weights/{corpus}/{network}.csv",
    output:
        receipt="results/mlflow/receipts/weights/{corpus}/{network}.json",
    log:
        "logs/weights/{corpus}/record_training/{network}.log",
    wildcard_constraints:
        network="|".join(config["training"]),
    params:
        code=fingerprint("recording"),
        choices=served_choices,
        cost=training_cost,
        tracked=TRACKED,
        outbox="results/mlflow/outbox",
    script:
        "../scripts/record_training.py"
