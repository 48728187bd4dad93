# How well it was decided, against labels.
#
# INPUTS   the labels of a video, results/{video}/{frames,persons,tracks,scenes,scene_detections}.parquet,
#          results/{video}/ranking/{system}.npz, results/{video}/identities/{system}.parquet
# OUTPUTS  results/eval_{video}.json, results/metrics_{video}.json, results/cmc_{video}.csv


rule evaluate:
    input:
        files=files_of,
        labels=labels_to_score,
        frames="results/{video}/frames.parquet",
        persons="results/{video}/persons.parquet",
        tracks="results/{video}/tracks.parquet",
        scenes="results/{video}/scenes.parquet",
        detections="results/{video}/scene_detections.parquet",
        rankings=per_system("results/{video}/ranking/{system}.npz"),
        identities=per_system("results/{video}/identities/{system}.parquet"),
        weights=used_weights,
    output:
        result="results/eval_{video}.json",
        metrics="results/metrics_{video}.json",
        curves="results/cmc_{video}.csv",
    log:
        "logs/{video}/evaluate.log",
    wildcard_constraints:
        video=ANY_VIDEO,
    params:
        code=fingerprint("results"),
        evaluation={
            name: value
            for name, value in config["evaluation"].items()
            if name not in ("systems", "published", "benchmark")
        },
        provenance=lambda wildcards: {
            "params_sha256": digest(config),
            "code": fingerprint(""),
            "trained_on": trained_on(wildcards),
        },
        weights=used_weights,
        seconds="results/{video}/seconds",
    script:
        "../scripts/evaluate.py"
