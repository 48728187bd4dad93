# Step 2: who is followed over time, which tracks are passages, and the frames of a passage that hold two steps.
#
# INPUTS   results/{video}/{frames,persons,runners}.parquet
# OUTPUTS  results/{video}/{tracks,scenes,scene_detections,sequences}.parquet


rule track_runners:
    input:
        frames="results/{video}/frames.parquet",
        persons="results/{video}/persons.parquet",
        runners="results/{video}/runners.parquet",
    output:
        tracks="results/{video}/tracks.parquet",
    log:
        "logs/{video}/track_runners.log",
    benchmark:
        "results/{video}/seconds/track_runners.tsv"
    params:
        code=fingerprint("tracking"),
        tracking=config["tracking"],
    script:
        "../scripts/track_runners.py"


rule build_scenes:
    input:
        frames="results/{video}/frames.parquet",
        persons="results/{video}/persons.parquet",
        tracks="results/{video}/tracks.parquet",
    output:
        scenes="results/{video}/scenes.parquet",
        detections="results/{video}/scene_detections.parquet",
    log:
        "logs/{video}/build_scenes.log",
    benchmark:
        "results/{video}/seconds/build_scenes.tsv"
    params:
        code=fingerprint("scenes"),
        scenes=config["scenes"],
    script:
        "../scripts/build_scenes.py"


rule unify_gait_periods:
    input:
        detections="results/{video}/scene_detections.parquet",
        scenes="results/{video}/scenes.parquet",
    output:
        sequences="results/{video}/sequences.parquet",
    log:
        "logs/{video}/unify_gait_periods.log",
    benchmark:
        "results/{video}/seconds/unify_gait_periods.tsv"
    params:
        code=fingerprint("gait"),
        gait=config["gait"],
    script:
        "../scripts/unify_gait_periods.py"
