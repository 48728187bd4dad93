# The built-in practice videos, with their whole truth.
#
# OUTPUTS  data/videos/{practice}.mp4
#          data/labels/{practice}/{persons,shoes,passes}.parquet
#          data/labels/{practice}/{gt.txt,identities.tsv}


rule render_practice:
    output:
        video="data/videos/{practice}.mp4",
        persons="data/labels/{practice}/persons.parquet",
        shoes="data/labels/{practice}/shoes.parquet",
        passes="data/labels/{practice}/passes.parquet",
        mot="data/labels/{practice}/gt.txt",
        identities="data/labels/{practice}/identities.tsv",
    log:
        "logs/{practice}/render_practice.log",
    benchmark:
        "results/{practice}/seconds/render_practice.tsv"
    wildcard_constraints:
        practice="|".join(config["practice"]["videos"]),
    params:
        code=fingerprint("practice"),
        camera=lookup("practice/camera", within=config),
        video=lookup("practice/videos/{practice}", within=config),
    script:
        "../scripts/render_practice.py"
