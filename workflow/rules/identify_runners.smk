# Step 5: how alike scenes are, which may be the same runner at all, and who is who.
#
# INPUTS   results/{video}/scenes.parquet, results/{video}/features/{extractor}.npz
# OUTPUTS  results/{video}/similarity/{extractor}.npz
#          results/{video}/ranking/{system}.npz
#          results/{video}/identities/{system}.parquet


rule compare_scenes:
    input:
        features="results/{video}/features/{extractor}.npz",
    output:
        similarity="results/{video}/similarity/{extractor}.npz",
    log:
        "logs/{video}/compare_scenes/{extractor}.log",
    benchmark:
        "results/{video}/seconds/compare_scenes.{extractor}.tsv"
    wildcard_constraints:
        video=ANY_VIDEO,
    params:
        code=fingerprint("similarity", "arrays"),
        metric=lambda wildcards: config["extractors"][wildcards.extractor]["metric"],
    script:
        "../scripts/compare_scenes.py"


rule rank_scenes:
    input:
        similarities=lambda wildcards: expand(
            "results/{video}/similarity/{extractor}.npz",
            video=wildcards.video,
            extractor=config["systems"][wildcards.system]["weights"],
        ),
        scenes="results/{video}/scenes.parquet",
    output:
        ranking="results/{video}/ranking/{system}.npz",
    log:
        "logs/{video}/rank_scenes/{system}.log",
    benchmark:
        "results/{video}/seconds/rank_scenes.{system}.tsv"
    wildcard_constraints:
        video=ANY_VIDEO,
    params:
        code=fingerprint("ranking"),
        ranking=lambda wildcards: {
            "min_lap_s": min_lap_s_of(wildcards),
            "laps": config["laps"],
            "system": system_of(wildcards),
        },
    script:
        "../scripts/rank_scenes.py"


rule assign_identities:
    input:
        ranking="results/{video}/ranking/{system}.npz",
        scenes="results/{video}/scenes.parquet",
    output:
        identities="results/{video}/identities/{system}.parquet",
    log:
        "logs/{video}/assign_identities/{system}.log",
    benchmark:
        "results/{video}/seconds/assign_identities.{system}.tsv"
    wildcard_constraints:
        video=ANY_VIDEO,
    params:
        code=fingerprint("identity"),
        identity=config["identity"],
    script:
        "../scripts/assign_identities.py"
