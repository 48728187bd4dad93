# Who ran which lap: runner re-identification for fixed-camera video of running practice
# (Suzuki, Tsutsui, Takeda, Fujii 2023). The includes, in order, are the method.


configfile: "params.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/fetch_sources.smk"
include: "workflow/rules/render_practice.smk"
# the paper's steps
include: "workflow/rules/detect_runners.smk"
include: "workflow/rules/track_runners.smk"
include: "workflow/rules/detect_shoes.smk"
include: "workflow/rules/extract_features.smk"
include: "workflow/rules/import_published.smk"
include: "workflow/rules/import_benchmarks.smk"
include: "workflow/rules/identify_runners.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
# what the steps learn from
include: "workflow/rules/train_models.smk"
# what people look at later
include: "workflow/rules/record.smk"


rule all:
    default_target: True
    input:
        expand("results/eval_{video}.json", video=LABELLED_VIDEOS),
        expand("results/report_{video}.html", video=TEST_VIDEOS),
        expand("results/laps_{video}.csv", video=TEST_VIDEOS),


rule record:
    input:
        RECEIPTS,


localrules:
    all,
    record,
    fetch_source,
    record_evaluation,
    record_training,
