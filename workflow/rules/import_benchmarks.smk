# Sets of pictures of real people, where our own steps 1 to 2 would have written theirs: every picture is a scene of one
# frame. An extractor that learned from the train pictures (or none) is scored on the test pictures.
#
# INPUTS   the folder or tar file of a row of source `benchmark`, results/{benchmark}/features/{extractor}.npz
# OUTPUTS  results/{benchmark}/{images,scenes,sequences,person_crops}.parquet
#          results/eval_{video}_{extractor}.json


rule import_benchmark:
    input:
        files=lambda wildcards: videos.loc[wildcards.benchmark, "files"],
    output:
        images="results/{benchmark}/images.parquet",
        scenes="results/{benchmark}/scenes.parquet",
        sequences="results/{benchmark}/sequences.parquet",
        crops="results/{benchmark}/person_crops.parquet",
    log:
        "logs/{benchmark}/import_benchmark.log",
    benchmark:
        "results/{benchmark}/seconds/import_benchmark.tsv"
    wildcard_constraints:
        benchmark=one_of(BENCHMARKS),
    params:
        code=fingerprint("benchmarks"),
        role=lambda wildcards: videos.loc[wildcards.benchmark, "role"],
        choices=config["evaluation"]["benchmark"],
    script:
        "../scripts/import_benchmark.py"


rule evaluate_benchmark:
    input:
        images="results/{video}/images.parquet",
        features="results/{video}/features/{extractor}.npz",
    output:
        result="results/eval_{video}_{extractor}.json",
    log:
        "logs/{video}/evaluate_benchmark/{extractor}.log",
    wildcard_constraints:
        video=one_of(BENCHMARKS),
    params:
        code=fingerprint("benchmarks"),
        provenance=lambda wildcards: {
            "params_sha256": digest(config),
            "code": fingerprint(""),
            "trained_on": trained_on(wildcards),
        },
        weights=lambda wildcards: [
            weights_of(name)(wildcards) for name in [wildcards.extractor] if is_learned(wildcards.extractor)
        ],
    script:
        "../scripts/evaluate_benchmark.py"
