# How well it was decided, against labels.
#
# INPUTS   the labels of a video, results/{video}/{frames,persons,tracks,scenes,scene_detections}.parquet,
#          results/{video}/ranking/{system}.npz, results/{video}/identities/{system}.parquet
# OUTPUTS  results/eval_{video}.json


rule evaluate:
    input:
        files=files_of,
        labels=labels_to_score,
        frames="results/{video}/frames.parquet",
        persons="results/{video}/persons.parquet",
        tracks="results/{video}/tracks.parquet",
        scenes="results/{video}/scenes.parquet",
        detections="results/{video}/scene_detections.parquet",
        rankings=expand("results/{{video}}/ranking/{system}.npz", system=config["evaluation"]["systems"]),
        identities=expand("results/{{video}}/identities/{system}.parquet", system=config["evaluation"]["systems"]),
        weights=used_weights,
    output:
        result="results/eval_{video}.json",
    log:
        "logs/{video}/evaluate.log",
    params:
        code=fingerprint("results"),
        evaluation={name: value for name, value in config["evaluation"].items() if name != "systems"},
        provenance={"params_sha256": digest(config), "code": fingerprint("")},
        weights=used_weights,
        seconds="results/{video}/seconds",
    script:
        "../scripts/evaluate.py"
