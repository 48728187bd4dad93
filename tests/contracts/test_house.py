"""docs/architecture.md, where a machine can keep it."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULE_FILES = sorted((ROOT / "workflow/rules").glob("*.smk"))
SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))
MODULES = sorted((ROOT / "src/runner_reid").rglob("*.py"))
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


UNSUPERVISED = [
    name
    for name, entry in PARAMS["extractors"].items()
    if entry["method"] in ("hhcl", "spcl", "ice", "pplr") and name in PARAMS["training"]
]


def rules(path: Path) -> dict[str, str]:
    """The text of every rule of a file, by its name."""
    parts = re.split(r"^rule (\w+):$", path.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


ALL_RULES = {name: text for path in RULE_FILES for name, text in rules(path).items()}


def test_snakefile_is_a_table_of_contents():
    lines = (ROOT / "Snakefile").read_text().splitlines()
    assert len(lines) <= 45
    assert not [line for line in lines if re.match(r"\s*(def|if|lambda)\b", line)]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_is_glue(path):
    text = path.read_text()
    tree = ast.parse(text)
    numbers = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)
    ]
    assert len(text.splitlines()) <= 30
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Lambda | ast.If | ast.IfExp)]
    assert numbers == [0], "the only number is that of snakemake.log[0]"
    assert path.stem in ALL_RULES, "a script has its rule's name"


@pytest.mark.parametrize("name", ALL_RULES)
def test_rule_has_one_name_and_says_which_code_it_depends_on(name):
    text = ALL_RULES[name]
    assert f'"../scripts/{name}.py"' in text
    assert re.search(rf'"logs/[^"]*{name}[^"]*\.log"', text)
    assert "code=" in text or "training_run(" in text


def choices(word: str) -> set[str]:
    """A path with alternatives as the paths it stands for: a/{b,c} is a/b and a/c."""
    found = re.search(r"\{([^{}]*,[^{}]*)\}", word)
    if not found:
        return {word}
    before, after = word[: found.start()], word[found.end() :]
    return {path for option in found[1].split(",") for path in choices(before + option + after)}


@pytest.mark.parametrize("path", [path for path in RULE_FILES if rules(path)], ids=lambda path: path.stem)
def test_rule_file_opens_with_its_outputs(path):
    header = path.read_text().split("\n\n\nrule")[0]
    listed = {path for word in header.split() for path in choices(word.removesuffix(","))}
    for text in rules(path).values():
        section = re.search(r"output:\n(.*?)\n    \w", text, flags=re.DOTALL)
        for temporary, output in re.findall(r'(temp\()?"([^"]+)"', section[1] if section else ""):
            assert temporary or output == "{source}" or output in listed, (
                f"{output} is not in the header of {path.name}"
            )


@pytest.mark.parametrize(
    "section, function, given_elsewhere",
    [
        ("frames", "frames.extract_frames", {}),
        ("persons", "persons.segment_persons", {"weights", "sha256", "training", "device"}),
        ("persons.yolov8", "yolo.detect", {"device"}),
        ("persons.background", "background.moving_things", {}),
        ("tracking", "tracking.track_runners", {}),
        ("scenes", "scenes.build_scenes", {}),
        ("gait", "gait.unify_gait_periods", {}),
        ("shoes", "shoes.detect_shoes", {"weights", "sha256", "training", "device"}),
        ("shoes.yolov8", "shoes.find_by_network", {"device"}),
        ("shoes.feet", "shoes.find_feet", {}),
        ("laps", "laps.estimate_min_lap", {}),
        ("identity", "identity.assign_identities", {}),
        ("runners", "classification.classify_runners", {"weights", "training", "tracking", "device"}),
        ("training.persons.pictures", "persons.training_pictures", {}),
        ("training.persons.windows", "persons.training_windows", {}),
        ("training.persons.fit", "yolo.train", {"device", "checkpoint", "fingerprint"}),
        ("training.shoes.pictures", "shoes.training_pictures", {}),
        ("training.shoes.squares", "shoes.training_squares", {}),
        ("training.shoes.fit", "yolo.train", {"device", "checkpoint", "fingerprint"}),
        ("training.runners.labels", "runner_training.label_crops", {}),
        ("training.runners.crops", "runner_training.read_labelled_crops", {"size"}),
        (
            "training.runners.fit",
            "runner_training.train",
            {"backbone", "device", "checkpoint", "fingerprint"},
        ),
        ("training.gru_ae.fit", "extractors.gru_ae.train", {"device", "checkpoint", "fingerprint"}),
        ("systems.hhcl_shoe_soft", "ranking.system_similarity", {"neighbours", "identity_share", "identity"}),
        ("systems.hhcl_shoe_neighbours", "ranking.system_similarity", {"rerank", "identity_share", "identity"}),
        ("systems.hhcl_shoe_identities", "ranking.system_similarity", {"rerank", "neighbours", "identity"}),
        ("identity.neighbours", "neighbours.with_neighbours", {}),
        ("systems.hhcl_shoe_neighbours.neighbours", "neighbours.with_neighbours", {}),
        *(
            (f"training.{name}.fit{part}", function, given)
            for name in UNSUPERVISED
            for part, function, given in (
                ("", f"extractors.{name.split('_')[0]}.train", {"device", "checkpoint", "fingerprint"}),
                (".loss", f"extractors.{name.split('_')[0]}.Learner", set()),
                (".network", "backbones.build", set()),
                (".augment", "augmentation.vary_pictures", set()),
                (".clusters", "clustering.pseudo_labels", set()),
                (".batches", "unsupervised.draw_batches", {"count"}),
                (".schedule", "unsupervised.Schedule", set()),
            )
        ),
        ("evaluation.benchmark", "benchmarks.import_benchmark", {"role"}),
        ("systems.hhcl_shoe_soft.rerank", "reranking.rerank", {"query_query", "gallery_gallery"}),
        ("evaluation.paper", "evaluation.paper_scores", {}),
        ("report", "reporting.make_report", {}),
    ],
)
def test_a_section_of_params_is_the_signature_of_one_function(section, function, given_elsewhere):
    module, name = function.rsplit(".", 1)
    signature = inspect.signature(getattr(importlib.import_module(f"runner_reid.{module}"), name))
    choices = {p.name for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY} - set(given_elsewhere)
    values = PARAMS
    for key in section.split("."):
        values = values[key]
    assert set(values) == choices
    assert not [p for p in signature.parameters.values() if p.name in values and p.default is not p.empty]


@pytest.mark.parametrize("name", PARAMS["extractors"])
def test_an_entry_of_the_catalogue_is_the_signature_of_its_method(name):
    entry = PARAMS["extractors"][name]
    module = importlib.import_module(f"runner_reid.extractors.{entry['method']}")
    signature = inspect.signature(module.extract)
    choices = {p.name for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY} - {
        "state",
        "device",
    }
    assert set(entry) - {"method", "metric", "crops"} == choices
    assert ("crops" in entry) == (module.CROPS == "any")


def test_systems_are_sums_of_known_extractors():
    for system in PARAMS["systems"].values():
        assert set(system["weights"]) <= set(PARAMS["extractors"])
        assert not isinstance(system["weights"], dict) or sum(system["weights"].values()) == pytest.approx(1.0)
    for shown in (PARAMS["evaluation"]["systems"], PARAMS["evaluation"]["published"]):
        assert set(shown) <= set(PARAMS["systems"]) and len(set(shown)) == len(shown)


def test_published_features_have_a_place_in_the_catalogue():
    rule = ALL_RULES["import_published"]
    written = set(re.findall(r"features/(\w+)\.npz", rule))
    assert written <= set(PARAMS["extractors"])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_the_library_knows_no_workflow(path):
    text = path.read_text()
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert "snakemake" not in imported
    assert path.stem == "recording" or "mlflow" not in imported
    assert "open(" + '"params' not in text
    assert len(text.splitlines()) <= 450


def test_schema_knows_every_section():
    schema = yaml.safe_load((ROOT / "workflow/schemas/params.schema.yaml").read_text())
    assert set(schema["required"]) == set(PARAMS)


@pytest.mark.parametrize("name", UNSUPERVISED)
def test_an_extractor_sees_what_its_training_saw(name):
    entry, fit = PARAMS["extractors"][name], PARAMS["training"][name]["fit"]
    assert all(entry[key] == fit[key] for key in ("network", "size", "resize"))


def test_the_published_schedules_change_known_keys_only():
    def known(overlay: dict, params: dict) -> None:
        for key, value in overlay.items():
            assert key in params, key
            assert isinstance(value, dict) == isinstance(params[key], dict), key
            if isinstance(value, dict):
                known(value, params[key])

    overlay = yaml.safe_load((ROOT / "docs/examples/published_training.yaml").read_text())
    known(overlay, PARAMS)
    for name, training in overlay["training"].items():
        assert overlay["extractors"][name]["network"] == training["fit"]["network"]
        assert overlay["extractors"][name]["size"] == training["fit"]["size"]
