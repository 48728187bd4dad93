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
        url=lookup("path == '{source}'", within=sources, cols="url"),
        sha256=lookup("path == '{source}'", within=sources, cols="sha256"),
        bytes=lookup("path == '{source}'", within=sources, cols="bytes"),
    script:
        "../scripts/fetch_source.py"
