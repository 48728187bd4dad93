# Step 4: one feature per scene and extractor. The catalogue is `extractors:` in params.yaml.
#
# INPUTS   results/{video}/{scenes,sequences,person_crops,shoe_crops}.parquet
# OUTPUTS  results/{video}/features/{extractor}.npz


rule extract_features:
    input:
        scenes="results/{video}/scenes.parquet",
        sequences="results/{video}/sequences.parquet",
        crops=lambda wildcards: f"results/{wildcards.video}/{declared_by(wildcards)['CROPS']}_crops.parquet",
        weights=lambda wildcards: (
            weights_of(wildcards.extractor)(wildcards) if declared_by(wildcards)["LEARNED"] else []
        ),
    output:
        features="results/{video}/features/{extractor}.npz",
    log:
        "logs/{video}/extract_features/{extractor}.log",
    benchmark:
        "results/{video}/seconds/extract_features.{extractor}.tsv"
    threads: 2
    params:
        code=lambda wildcards: fingerprint("features", f"extractors.{method_of(wildcards)}"),
        extractor=lambda wildcards: config["extractors"][wildcards.extractor],
        training=lambda wildcards: config["training"].get(wildcards.extractor, {}),
    script:
        "../scripts/extract_features.py"
