# Step 3: the clearest shoes of each scene.
#
# INPUTS   the files of a video, results/{video}/{frames,persons,sequences}.parquet
# OUTPUTS  results/{video}/{shoes,shoe_crops}.parquet


rule detect_shoes:
    input:
        files=files_of,
        frames="results/{video}/frames.parquet",
        persons="results/{video}/persons.parquet",
        sequences="results/{video}/sequences.parquet",
        weights=branch(config["shoes"]["method"] == "yolov8", then=weights_of("shoes"), otherwise=[]),
    output:
        shoes="results/{video}/shoes.parquet",
        crops="results/{video}/shoe_crops.parquet",
    log:
        "logs/{video}/detect_shoes.log",
    benchmark:
        "results/{video}/seconds/detect_shoes.tsv"
    threads: 4
    params:
        code=fingerprint("shoes"),
        shoes=config["shoes"],
        training=config["training"]["shoes"],
        sha256=pinned_sha256("shoes"),
    script:
        "../scripts/detect_shoes.py"
