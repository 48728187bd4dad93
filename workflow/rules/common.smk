# Everything that is not a rule: the sheets, the checks, and where things are.
import functools
import os
from pathlib import Path

from runner_reid import extractors
from runner_reid.errors import InputError, check_choice
from runner_reid.provenance import digest, fingerprint
from runner_reid.sheets import check_params, check_sheet, read_sheet, video_files
from runner_reid.weights import read_card
from snakemake.iocontainers import Wildcards

SCHEMAS = Path(workflow.basedir) / "workflow/schemas"
PROMOTED = config.pop("promoted", "all")  # see `wins`; popped, for it is no choice of a method
SHEET = config.setdefault("videos", "data/videos.tsv")  # kept: then plain snakemake and make agree on the params

try:
    check_choice("promoted", PROMOTED, ("all", "fitting", "none"))
    check_params(config, SCHEMAS / "params.schema.yaml", name="params")
    videos = check_sheet(read_sheet(SHEET), SCHEMAS / "videos.schema.yaml", name=SHEET)
    sources = check_sheet(read_sheet("data/sources.tsv"), SCHEMAS / "sources.schema.yaml", name="data/sources.tsv")
except InputError as error:
    raise WorkflowError(f"error: {error}") from None

videos = videos.set_index("video", drop=False)
BENCHMARKS = videos.index[videos["source"] == "benchmark"].tolist()
TEST_VIDEOS = videos.index[(videos["role"] == "test") & (videos["source"] != "benchmark")].tolist()
SEEN_VIDEOS = videos.index[~videos["source"].isin(["published", "benchmark"])].tolist()
LABELLED_VIDEOS = videos.index[(videos["role"] == "test") & (videos["labels"] != "")].tolist()
TRACKED = sorted(str(path) for path in [*Path("data").glob("**/*.dvc"), *Path().glob("dvc.lock")])
CONDITIONS = sorted(set(videos["condition"]))
NETWORK_METHODS = {"persons": "yolov8", "runners": "efficientnet", "shoes": "yolov8"}  # that need our weights

os.environ["RUNNER_REID_CORES"] = str(workflow.resource_settings.cores or "")


def one_of(names):
    """A wildcard constraint: one of `names`, and nothing at all if there are none."""
    return "|".join(names) or "(?!)"


# Steps up to the features have a video to look at; those after the seam say themselves that they take ANY_VIDEO.
ANY_VIDEO = one_of(videos.index[videos["source"] != "benchmark"])


wildcard_constraints:
    video=one_of(SEEN_VIDEOS),
    corpus="|".join(["all", *CONDITIONS, *(f"on_{video}" for video in videos.index)]),
    extractor="|".join(config["extractors"]),
    system="|".join(config["systems"]),


scattergather:
    time_range=4,


def fact(column):
    """A params function: what the sheet says of a video."""
    return lambda wildcards: videos.loc[wildcards.video, column]


def min_lap_s_of(wildcards):
    """The lap rule of a video in seconds; None where the sheet leaves it empty."""
    cell = fact("min_lap_s")(wildcards)
    return float(cell) if cell else None


def system_of(wildcards):
    """The choices of ranking.system_similarity: an entry of the catalogue; `identity` only where it asks who is who."""
    system = {"rerank": None, "neighbours": None, "identity_share": None} | config["systems"][wildcards.system]
    asks = isinstance(system["weights"], list) or system["identity_share"] is not None
    return system | {"identity": config["identity"] if asks else {}}


def pinned(column):
    """A params function: what data/sources.tsv says of a path."""
    return lambda wildcards: sources.set_index("path").loc[wildcards.source, column]


def pinned_bytes(wildcards):
    """How large data/sources.tsv says a path is; None where it does not say."""
    cell = pinned("bytes")(wildcards)
    return int(cell) if cell else None


def files_of(wildcards):
    """The video files of a session, in order."""
    return files_of_video(wildcards.video)


@functools.cache
def files_of_video(video):
    """The same of a video by its name, looked up once: plans ask for it at every job."""
    files = video_files(videos.loc[video, "files"], known=sources["path"])
    made = {f"data/videos/{name}.mp4" for name in config["practice"]["videos"]}
    missing = [path for path in files if not Path(path).exists() and path not in {*made, *sources["path"]}]
    if missing:
        raise WorkflowError(
            f"error: {missing[0]}: no such file; video {video!r} of {SHEET} needs it; correct its column `files`"
        )
    return files


def labels_of(wildcards):
    """The files of labels of a video."""
    return [path for path in videos.loc[wildcards.video, "labels"].split(",") if path]


def labels_to_score(wildcards):
    """The files of labels of a video that is evaluated."""
    if not labels_of(wildcards):
        raise WorkflowError(
            f"error: video {wildcards.video!r} of {SHEET} has no labels to be scored against; fill in its column "
            f"`labels`, or make results/report_{wildcards.video}.html, which needs none"
        )
    return labels_of(wildcards)


def corpus_videos(corpus, role):
    """The names of the videos that a corpus is made of: a condition, `all`, or `on_` and a video."""
    if corpus.startswith("on_"):
        return [corpus.removeprefix("on_")]
    anywhere = (corpus == "all") & (videos["source"] != "benchmark")
    return videos.index[(videos["role"] == role) & ((videos["condition"] == corpus) | anywhere)].tolist()


def of_corpus(pattern, role="train"):
    """An input function: `pattern` for every video of the corpus in the wildcards."""

    def paths(wildcards):
        names = corpus_videos(wildcards.corpus, role)
        if not names:
            raise WorkflowError(
                f"error: weights for {wildcards.corpus!r} are neither in data/weights nor can be trained: {SHEET} has no "
                f"video of role {role} and that condition; choose a condition that has weights, or add such videos"
            )
        return expand(pattern, video=names)

    return paths


def weights_of(name):
    """An input function: the weights called `name` for a video; given ones win over our own."""
    return lambda wildcards: config["pretrained"].get(name) or own_weights_of(name)(wildcards)


def own_weights_of(name):
    """An input function: our own weights called `name` for a video or corpus; promoted ones win over trained ones."""

    def path(wildcards):
        corpus = wildcards.get("corpus") or videos.loc[wildcards.video, "condition"]
        if config["training"][name]["shared"]:
            corpus = "all"
        if config["training"][name].get("transductive"):
            corpus = f"on_{wildcards.video}"
        promoted = f"data/weights/{corpus}/{name}.pt"
        return promoted if wins(promoted, name) else f"results/weights/{corpus}/{name}.pt"

    return path


def wins(promoted, name):
    """Whether promoted weights are used: `all` that there are, those `fitting` (trained as params say), or `none`."""
    if PROMOTED == "none" or not Path(promoted).exists():
        return False
    try:
        return PROMOTED == "all" or read_card(promoted)["params"] == config["training"][name]
    except InputError as error:
        raise WorkflowError(f"error: {error}") from None


def training_choices(name):
    """What the training of `name` is called with: its section without what the workflow itself reads."""
    return {key: value for key, value in config["training"][name].items() if key not in ("shared", "transductive")}


def training_run(name, code):
    """A params function: the choices of `models.start`."""
    return lambda wildcards: {
        "checkpoint": f"results/weights/{wildcards.corpus}/{name}.checkpoint",
        "code": code,
        "choices": config["training"][name],
    }


def card_of(name):
    """A params function: what the card of the weights `name` says besides data and scores."""
    return lambda wildcards: {
        "name": name,
        "command": f"snakemake --cores 8 results/weights/{wildcards.corpus}/{name}.pt",
        "params": config["training"][name],
    }


def pinned_sha256(name):
    """A params function: the sha256 that data/sources.tsv pins for given weights, "" for our own."""
    return lambda wildcards: sources.set_index("path")["sha256"].get(config["pretrained"].get(name), "")


def method_of(wildcards):
    """The method of an extractor of the catalogue."""
    return config["extractors"][wildcards.extractor]["method"]


def served_choices(wildcards):
    """What a trained network is called with besides its weights."""
    method = NETWORK_METHODS.get(wildcards.network)
    return config[wildcards.network][method] if method else config["extractors"][wildcards.network]


def training_cost(wildcards):
    """Where it is written what the training of a network cost."""
    job = f"extractor.{wildcards.network}" if wildcards.network in config["extractors"] else wildcards.network
    return f"results/weights/{wildcards.corpus}/seconds/train_{job}.tsv"


# Weights that were trained here.
TRAINED = [
    path
    for path in (
        f"results/weights/{corpus}/{name}.pt" for corpus in ["all", *CONDITIONS] for name in config["training"]
    )
    if Path(path).exists()
]
# What `record` asks for: results and weights that are there; it makes none.
RECEIPTS = [
    f"results/mlflow/receipts/{path}"
    for path in [
        *(f"eval_{video}.json" for video in videos.index),
        *(f"eval_{video}_{extractor}.json" for video in BENCHMARKS for extractor in config["extractors"]),
        *(Path(path).with_suffix(".json").relative_to("results") for path in TRAINED),
    ]
    if Path("results", path).exists()
]


def systems_of(video):
    """The systems that are evaluated on a video."""
    return config["evaluation"]["published" if videos.loc[video, "source"] == "published" else "systems"]


def per_system(pattern):
    """An input function: `pattern` for every system that is evaluated on the video."""
    return lambda wildcards: expand(pattern, video=wildcards.video, system=systems_of(wildcards.video))


def is_learned(extractor):
    """Whether an extractor of the catalogue needs weights that we train."""
    return extractors.declared(config["extractors"][extractor]["method"])["LEARNED"]


def crops_of(extractor):
    """Which crops an extractor reads, `person` or `shoe`: its method says it, or its entry."""
    entry = config["extractors"][extractor]
    return entry.get("crops") or extractors.declared(entry["method"])["CROPS"]


def start_of(extractor):
    """The file of weights that an entry of the catalogue starts from, [] if there is none."""
    initial = config["extractors"][extractor].get("network", {}).get("initial", "random")
    return [] if initial in ("imagenet", "random") else initial


def cameras_of(wildcards):
    """For a set of pictures the tables that say which camera took each; a video is one camera."""
    names = corpus_videos(wildcards.corpus, "train")
    return expand("results/{video}/images.parquet", video=[name for name in names if name in BENCHMARKS])


def used_weights(wildcards):
    """The weights that the results of a video depend on."""
    if wildcards.video not in SEEN_VIDEOS:
        return []
    names = [name for name, method in NETWORK_METHODS.items() if config[name]["method"] == method]
    return [weights_of(name)(wildcards) for name in [*names, *learned_of(wildcards.video)]]


def to_promote(wildcards):
    """What was trained here; or, where promoted weights do not serve, what all test videos need instead of them."""
    if PROMOTED == "all":
        return TRAINED
    used = {path for video in TEST_VIDEOS for path in used_weights(Wildcards(fromdict={"video": video}))}
    return sorted(path for path in used if path.startswith("results/"))


def learned_of(video):
    """The learned extractors that the systems of a video use."""
    chosen = {name for system in systems_of(video) for name in config["systems"][system]["weights"]}
    return sorted(filter(is_learned, chosen))


def learned_pictures(wildcards):
    """What the learned extractors of a video came to see, where their training made a picture of it."""
    used = learned_of(wildcards.video) if wildcards.video in SEEN_VIDEOS else []
    pictures = [Path(weights_of(name)(wildcards)).with_suffix(".webp") for name in used]
    return [str(path) for path in pictures if path.exists() or path.parts[0] == "results"]


def trained_on(wildcards):
    """A params function: per learned extractor the corpus its weights for this video come from."""
    if wildcards.video not in [*SEEN_VIDEOS, *BENCHMARKS]:
        return {}
    names = [wildcards.extractor] if wildcards.get("extractor") else learned_of(wildcards.video)
    return {name: Path(weights_of(name)(wildcards)).parent.name for name in names if is_learned(name)}
