# What a coach opens: one page and one table of laps. The system that decides is `report: system:` in params.yaml.
#
# INPUTS   results/{video}/{frames,persons,person_crops,tracks,scenes,sequences,shoes,shoe_crops}.parquet,
#          results/{video}/identities/{system}.parquet, the page's template,
#          results/eval_{video}.json for a video with labels, data/weights/{corpus}/{extractor}.webp
# OUTPUTS  results/report_{video}.html, results/laps_{video}.csv


rule report:
    input:
        frames="results/{video}/frames.parquet",
        persons="results/{video}/persons.parquet",
        person_crops="results/{video}/person_crops.parquet",
        tracks="results/{video}/tracks.parquet",
        scenes="results/{video}/scenes.parquet",
        sequences="results/{video}/sequences.parquet",
        shoes="results/{video}/shoes.parquet",
        shoe_crops="results/{video}/shoe_crops.parquet",
        identities=f"results/{{video}}/identities/{config['report']['system']}.parquet",
        evaluation=lambda wildcards: expand(
            "results/eval_{video}.json", video=[wildcards.video] if labels_of(wildcards) else []
        ),
        template="src/runner_reid/templates/report.html",
        weights=used_weights,
        learned=learned_pictures,
    output:
        page="results/report_{video}.html",
        laps="results/laps_{video}.csv",
    log:
        "logs/{video}/report.log",
    benchmark:
        "results/{video}/seconds/report.tsv"
    wildcard_constraints:
        video=ANY_VIDEO,
    params:
        code=fingerprint("reporting", "results"),
        report=config["report"],
        condition=fact("condition"),
        provenance={"params_sha256": digest(config), "code": fingerprint("")},
        weights=used_weights,
        seconds="results/{video}/seconds",
    script:
        "../scripts/report.py"
