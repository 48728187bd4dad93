# Step 4: one feature per scene and extractor. The catalogue is `extractors:` in params.yaml.
#
# INPUTS   results/{video}/{scenes,sequences,person_crops,shoe_crops}.parquet
# OUTPUTS  results/{video}/features/{extractor}.npz


rule extract_features:
    input:
        scenes="results/{video}/scenes.parquet",
        sequences="results/{video}/sequences.parquet",
        crops=lambda wildcards: f"results/{wildcards.video}/{crops_of(wildcards.extractor)}_crops.parquet",
        weights=lambda wildcards: (
            weights_of(wildcards.extractor)(wildcards)
            if is_learned(wildcards.extractor)
            else start_of(wildcards.extractor)
        ),
    output:
        features="results/{video}/features/{extractor}.npz",
    log:
        "logs/{video}/extract_features/{extractor}.log",
    benchmark:
        "results/{video}/seconds/extract_features.{extractor}.tsv"
    wildcard_constraints:
        video=one_of([*SEEN_VIDEOS, *BENCHMARKS]),
    threads: 2
    params:
        code=lambda wildcards: fingerprint("features", f"extractors.{method_of(wildcards)}"),
        extractor=lambda wildcards: config["extractors"][wildcards.extractor],
        training=lambda wildcards: config["training"].get(wildcards.extractor, {}),
    script:
        "../scripts/extract_features.py"
