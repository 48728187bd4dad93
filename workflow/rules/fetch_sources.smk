# What comes from outside, checked against data/sources.tsv.
#
# INPUTS   data/sources.tsv
# OUTPUTS  the paths it lists


rule fetch_source:
    output:
        source="{source}",
    log:
        "logs/fetch_source/{source}.log",
    wildcard_constraints:
        source="|".join(re.escape(path) for path in sources["path"]),
    params:
        code=fingerprint("sources"),
        url=pinned("url"),
        sha256=pinned("sha256"),
        bytes=pinned_bytes,
    script:
        "../scripts/fetch_source.py"
