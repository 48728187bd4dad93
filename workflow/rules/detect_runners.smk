# Step 1: the frames anyone could be in, the persons in them, and which of them are runners.
#
# INPUTS   the files of a video
# OUTPUTS  results/{video}/{frames,persons,person_crops,runners}.parquet


rule extract_frames:
    input:
        files=files_of,
    output:
        frames="results/{video}/frames.parquet",
    log:
        "logs/{video}/extract_frames.log",
    benchmark:
        "results/{video}/seconds/extract_frames.tsv"
    params:
        code=fingerprint("frames"),
        frames=config["frames"],
    script:
        "../scripts/extract_frames.py"


rule segment_persons:
    input:
        files=files_of,
        frames="results/{video}/frames.parquet",
        weights=branch(config["persons"]["method"] == "yolov8", then=weights_of("persons"), otherwise=[]),
    output:
        persons=temp("results/{video}/parts/persons.{scatteritem}.parquet"),
        crops=temp("results/{video}/parts/person_crops.{scatteritem}.parquet"),
    log:
        "logs/{video}/segment_persons.{scatteritem}.log",
    benchmark:
        "results/{video}/seconds/segment_persons.{scatteritem}.tsv"
    threads: 2
    resources:
        mem_mb=1500,
    params:
        code=fingerprint("persons"),
        persons=config["persons"],
        training=config["training"]["persons"],
        sha256=pinned_sha256("persons"),
    script:
        "../scripts/segment_persons.py"


rule gather_persons:
    input:
        persons=gather.time_range("results/{{video}}/parts/persons.{scatteritem}.parquet"),
        crops=gather.time_range("results/{{video}}/parts/person_crops.{scatteritem}.parquet"),
    output:
        persons="results/{video}/persons.parquet",
        crops="results/{video}/person_crops.parquet",
    log:
        "logs/{video}/gather_persons.log",
    benchmark:
        "results/{video}/seconds/gather_persons.tsv"
    params:
        code=fingerprint("tables"),
    script:
        "../scripts/gather_persons.py"


rule classify_runners:
    input:
        frames="results/{video}/frames.parquet",
        persons="results/{video}/persons.parquet",
        crops="results/{video}/person_crops.parquet",
        weights=branch(config["runners"]["method"] == "efficientnet", then=weights_of("runners"), otherwise=[]),
    output:
        runners="results/{video}/runners.parquet",
    log:
        "logs/{video}/classify_runners.log",
    benchmark:
        "results/{video}/seconds/classify_runners.tsv"
    threads: 8
    params:
        code=fingerprint("classification"),
        runners=config["runners"],
        tracking=config["tracking"],
        training=config["training"]["runners"],
    script:
        "../scripts/classify_runners.py"
