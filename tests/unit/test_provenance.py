"""A fingerprint of code changes with what the code does, and with nothing else."""

import pytest

from runner_reid import provenance

FILES = {
    "__init__.py": "",
    "steps.py": '"""Steps."""\nfrom toy import tools\n\n\ndef run(x):\n    """Run."""\n    return tools.double(x)\n',
    "tools.py": "from toy.deep.inner import TWO\n\n\ndef double(x):\n    return TWO * x\n",
    "alone.py": "import os\nimport numpy.linalg\n\nX = os.sep\n",
    "deep/__init__.py": "",
    "deep/inner.py": "TWO = 2\n",
    "deep/plug.py": "import toy.alone\n",
}


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A package in place of our own; returns its folder."""
    folder = tmp_path / "toy"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(provenance, "PACKAGE", folder)
    forget()
    yield folder
    forget()


def forget():
    for function in (provenance.fingerprint, provenance._imports, provenance._code):
        function.cache_clear()


def edited(folder, name, old, new) -> dict[str, bool]:
    """Which fingerprints an edit changes."""
    modules = ("steps", "tools", "alone", "deep", "deep.plug", "")
    before = {module: provenance.fingerprint(module) for module in modules}
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))
    forget()
    return {module for module in modules if provenance.fingerprint(module) != before[module]}


@pytest.mark.parametrize(
    "name, old, new, changed",
    [
        ("steps.py", "Steps.", "Other words.", set()),
        ("steps.py", '"""Run."""', '"""Run, and explain\n\n    at length."""', set()),
        ("steps.py", '    """Run."""\n', "", set()),
        ("steps.py", "\n\n\ndef", "  # why\n\n\n# how\ndef", set()),
        ("tools.py", "return TWO * x", "return (TWO  *  x)", set()),
        ("deep/inner.py", "TWO = 2\n", 'TWO = 2\n"""What it means."""\n', set()),
        ("steps.py", "double(x)", "double(x + 1)", {"steps", ""}),
        ("tools.py", "TWO * x", "TWO + x", {"steps", "tools", ""}),
        ("deep/inner.py", "TWO = 2", "TWO = 3", {"steps", "tools", "deep", ""}),
        ("alone.py", "os.sep", "os.name", {"alone", "deep", "deep.plug", ""}),
        ("deep/plug.py", "alone", "alone, toy.tools", {"deep", "deep.plug", ""}),
        ("tools.py", "def double(x)", "def double(x=1)", {"steps", "tools", ""}),
    ],
)
def test_a_fingerprint_sees_code_and_nothing_else(toy, name, old, new, changed):
    assert edited(toy, name, old, new) == changed


def test_modules_count_together(toy):
    one, other = provenance.fingerprint("steps"), provenance.fingerprint("alone")
    both = provenance.fingerprint("steps", "alone")
    assert len({one, other, both}) == 3 and both == provenance.fingerprint("alone", "steps")


def test_modules_that_import_each_other(toy):
    (toy / "tools.py").write_text("import toy.steps\n")
    assert provenance.fingerprint("tools") == provenance.fingerprint("steps")


@pytest.mark.parametrize("module", ["none", "deep.none", "steps.run"])
def test_a_module_that_is_not_there_is_an_error(toy, module):
    with pytest.raises(ValueError, match=f"no module '{module}' in toy"):
        provenance.fingerprint(module)


def test_our_own_package():
    assert provenance.fingerprint("files") != provenance.fingerprint("masks")
    everything = {path.name for path in provenance._closure(provenance._files(""))}
    assert {"tables.py", "gru_ae.py", "film.py"} <= everything
    assert "yolo.py" in {path.name for path in provenance._closure(provenance._files("persons"))}
    assert "yolo.py" not in {path.name for path in provenance._closure(provenance._files("gait"))}


@pytest.mark.parametrize(
    "one, other, same",
    [
        ({}, {}, True),
        ({"a": 1, "b": {"c": [1, 2], "d": None}}, {"b": {"d": None, "c": [1, 2]}, "a": 1}, True),
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
        ({"a": 1}, {"a": "1"}, False),
    ],
)
def test_a_digest_of_params_does_not_see_the_order_of_keys(one, other, same):
    assert (provenance.digest(one) == provenance.digest(other)) is same
