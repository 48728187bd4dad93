# What the steps learn from: the videos of role `train` of a corpus (a condition, or `all`), scored on those of role
# `validation`. Promoted weights (data/weights) win over these; see docs/weights.md.
#
# INPUTS   data/videos/{video}.mp4, data/labels/{video}/{persons,shoes}.parquet,
#          results/{video}/{frames,persons,person_crops,shoe_crops,sequences}.parquet,
#          results/{video}/images.parquet (which camera took the pictures of a benchmark)
# OUTPUTS  results/weights/{corpus}/{persons,runners,shoes}.{pt,csv}, results/weights/{corpus}/{extractor}.{pt,csv,webp}
#          data/weights (promote: what was trained becomes what is used)


rule train_persons:
    input:
        videos=of_corpus("data/videos/{video}.mp4"),
        frames=of_corpus("results/{video}/frames.parquet"),
        persons=of_corpus("data/labels/{video}/persons.parquet"),
        held_videos=of_corpus("data/videos/{video}.mp4", role="validation"),
        held_frames=of_corpus("results/{video}/frames.parquet", role="validation"),
        held_persons=of_corpus("data/labels/{video}/persons.parquet", role="validation"),
    output:
        weights="results/weights/{corpus}/persons.pt",
        history="results/weights/{corpus}/persons.csv",
    log:
        "logs/weights/{corpus}/train_persons.log",
    benchmark:
        "results/weights/{corpus}/seconds/train_persons.tsv"
    threads: 8
    resources:
        gpu=1,
    params:
        run=training_run("persons", fingerprint("persons")),
        card=card_of("persons"),
        choices=training_choices("persons"),
        detect={name: config["persons"]["yolov8"][name] for name in ("size", "match_iou")},
    script:
        "../scripts/train_persons.py"


rule train_runners:
    input:
        persons=of_corpus("results/{video}/persons.parquet"),
        crops=of_corpus("results/{video}/person_crops.parquet"),
        truth=of_corpus("data/labels/{video}/persons.parquet"),
        held_persons=of_corpus("results/{video}/persons.parquet", role="validation"),
        held_crops=of_corpus("results/{video}/person_crops.parquet", role="validation"),
        held_truth=of_corpus("data/labels/{video}/persons.parquet", role="validation"),
    output:
        weights="results/weights/{corpus}/runners.pt",
        history="results/weights/{corpus}/runners.csv",
    log:
        "logs/weights/{corpus}/train_runners.log",
    benchmark:
        "results/weights/{corpus}/seconds/train_runners.tsv"
    threads: 8
    resources:
        gpu=1,
    params:
        run=training_run("runners", fingerprint("runner_training")),
        card=card_of("runners"),
        choices=training_choices("runners"),
        batch=config["runners"]["efficientnet"]["batch"],
    script:
        "../scripts/train_runners.py"


rule train_shoes:
    input:
        videos=of_corpus("data/videos/{video}.mp4"),
        frames=of_corpus("results/{video}/frames.parquet"),
        persons=of_corpus("data/labels/{video}/persons.parquet"),
        shoes=of_corpus("data/labels/{video}/shoes.parquet"),
        held_videos=of_corpus("data/videos/{video}.mp4", role="validation"),
        held_frames=of_corpus("results/{video}/frames.parquet", role="validation"),
        held_persons=of_corpus("data/labels/{video}/persons.parquet", role="validation"),
        held_shoes=of_corpus("data/labels/{video}/shoes.parquet", role="validation"),
        initial=own_weights_of("persons"),
    output:
        weights="results/weights/{corpus}/shoes.pt",
        history="results/weights/{corpus}/shoes.csv",
    log:
        "logs/weights/{corpus}/train_shoes.log",
    benchmark:
        "results/weights/{corpus}/seconds/train_shoes.tsv"
    threads: 8
    resources:
        gpu=1,
    params:
        run=training_run("shoes", fingerprint("shoes")),
        card=card_of("shoes"),
        choices=training_choices("shoes"),
        initial=config["training"]["persons"],
        detect={name: config["shoes"]["yolov8"][name] for name in ("size", "match_iou")},
    script:
        "../scripts/train_shoes.py"


rule train_extractor:
    input:
        sequences=of_corpus("results/{video}/sequences.parquet"),
        crops=lambda wildcards: of_corpus(f"results/{{video}}/{crops_of(wildcards.extractor)}_crops.parquet")(wildcards),
        cameras=cameras_of,
        start=lambda wildcards: start_of(wildcards.extractor),
    output:
        weights="results/weights/{corpus}/{extractor}.pt",
        history="results/weights/{corpus}/{extractor}.csv",
        picture="results/weights/{corpus}/{extractor}.webp",
    log:
        "logs/weights/{corpus}/train_extractor/{extractor}.log",
    benchmark:
        "results/weights/{corpus}/seconds/train_extractor.{extractor}.tsv"
    wildcard_constraints:
        extractor="|".join(sorted(set(config["extractors"]) & set(config["training"]))),
    threads: 8
    resources:
        gpu=1,
    params:
        run=lambda wildcards: training_run(wildcards.extractor, fingerprint(f"extractors.{method_of(wildcards)}"))(
            wildcards
        ),
        card=lambda wildcards: card_of(wildcards.extractor)(wildcards),
        choices=lambda wildcards: training_choices(wildcards.extractor),
        method=lambda wildcards: method_of(wildcards),
        crops=lambda wildcards: crops_of(wildcards.extractor),
    script:
        "../scripts/train_extractor.py"


rule promote:
    input:
        to_promote,
    log:
        "logs/promote.log",
    localrule: True
    params:
        code=fingerprint("weights"),
        folder="data/weights",
    script:
        "../scripts/promote.py"
