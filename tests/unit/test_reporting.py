"""The page and the laps, made from a small practice that is drawn here."""

import csv
import dataclasses
import html.parser
import re

import cv2
import numpy as np
import polars as pl
import pytest

from runner_reid import crops, reporting, tables
from runner_reid.errors import InputError

CHOICES = {"system": "gru_hist", "crops_per_runner": 3}
PROVENANCE = {
    "params_sha256": "ab" * 32,
    "code": "0123456789abcdef",
    "weights": {"gru_ae": "cd" * 32},
    "seconds": {"extract_frames": 12.3, "segment_persons": 1234.5},
}
SCORES = {
    "paper": {"mAP": 0.941, "rank1": 0.967, "rank5": 1.0, "rank10": 1.0, "queries": 30, "ceiling": {}},
    "strict": {"mAP": 0.912, "mAP_ci95": [0.82, 0.98], "rank1": 0.95, "rank5": 1.0, "mINP": 0.9, "queries": 28},
    "identities": {
        "found": 5,
        "true": 4,
        "ARI": 0.913,
        "ARI_all": 0.9,
        "pairwise_precision": 0.99,
        "pairwise_recall": 0.88,
        "pairwise_f1": 0.93,
    },
}
EVALUATION = {
    "video": "night",
    "scenes": {
        "found": 21,
        "labelled": 22,
        "matched": 20,
        "missed": 2,
        "spurious": 1,
        "recall": 0.909,
        "precision": 0.952,
    },
    "tracking": {"MOTA": 0.91, "IDF1": 0.93, "HOTA": None},
    "systems": {"hist": SCORES | {"strict": SCORES["strict"] | {"mAP_ci95": None}}, "gru_hist": SCORES},
    "provenance": PROVENANCE,
}


def drawn_runner(colour: tuple[int, int, int], phase: float) -> tuple[np.ndarray, np.ndarray]:
    """A figure that runs: (H, W, 3) uint8 and mask (H, W) bool."""
    image, mask = np.zeros((220, 120, 3), np.uint8), np.zeros((220, 120), np.uint8)
    swing = int(45 * np.sin(phase))
    limbs = [((60, 120), (60 + swing, 212)), ((60, 120), (60 - swing, 205)), ((60, 60), (60 - swing // 2, 105))]
    for canvas, skin, shirt in ((image, (150, 110, 90), colour), (mask, 1, 1)):
        for start, end in limbs:
            cv2.line(canvas, start, end, skin, 13)
        cv2.ellipse(canvas, (60, 85), (20, 45), 0, 0, 360, shirt, -1)
        cv2.circle(canvas, (62, 25), 17, skin, -1)
    return image, mask > 0


def practice(folder, runners: list[int], **changes) -> reporting.Material:
    """A practice in which the runner of scene i is runners[i], a passage every 7.5 seconds, 5 frames each."""
    n, frames_per_scene = len(runners), 5
    frame = np.arange(n * frames_per_scene)
    scene = frame // frames_per_scene
    generator = np.random.default_rng(0)
    colours = generator.integers(60, 255, (max(runners, default=0) + 1, 3)).tolist()
    confidence = np.where(np.arange(n) % 7 == 6, 0.03, generator.uniform(0.1, 0.9, n))
    paths = {"person_crops": folder / "person_crops.parquet", "shoe_crops": folder / "shoe_crops.parquet"}
    with tables.PERSON_CROPS.writer(paths["person_crops"]) as writer:
        for number, of_scene in zip(frame.tolist(), scene.tolist(), strict=True):
            image, mask = drawn_runner(colours[runners[of_scene]], 0.4 + number % frames_per_scene)
            encoded = crops.encode_crop(image, mask, max_height=256, quality=90)
            writer.append(tables.PERSON_CROPS.frame([{"frame": number, "person": 0, "image": encoded}]))
    shod = [i for i in range(n) if runners[i] % 3 != 2]
    shoe = crops.encode_crop(np.full((30, 60, 3), 200, np.uint8), np.ones((30, 60), bool), max_height=99, quality=90)
    tables.SHOE_CROPS.write(
        tables.SHOE_CROPS.frame({"scene": shod, "rank": [0] * len(shod), "image": [shoe] * len(shod)}),
        paths["shoe_crops"],
    )

    box = {"x1": 0.0, "y1": 0.0, "x2": 9.0, "y2": 20.0}
    keys = {"frame": frame, "person": np.zeros_like(frame)}
    made = {
        "frames": [
            {"frame": i, "file": 0, "file_frame": i, "pts": i, "time_s": i * 1.5, "width": 960, "height": 540}
            | {"motion": 0.5, "selected": i % 2 == 0}
            for i in frame.tolist()
        ],
        "persons": [
            {"frame": i, "person": 0, **box, "score": 0.9 if i % 5 == 2 else 0.8, "mask": b""} for i in frame.tolist()
        ],
        "tracks": {**keys, "track": scene},
        "sequences": {"scene": scene, "position": frame % frames_per_scene, **keys},
        "scenes": [
            {"scene": i, "track": i, "first_frame": i * 5, "last_frame": i * 5 + 4, "start_s": i * 7.5}
            | {"end_s": i * 7.5 + 2, "direction": "left" if i % 3 else "right", "speed": 3.2}
            | {"cadence": float("nan") if i == 1 else 182.0}
            for i in range(n)
        ],
        "shoes": [{"scene": i, "frame": i * 5, "person": 0, **box, "score": i / 99} for i in shod],
        "identities": {
            "scene": np.arange(n),
            "runner": runners,
            "confidence": confidence,
            "stranger": 1 - confidence,
            "doubt": np.where(confidence < 0.05, "stranger", ""),
        },
    }
    given = {name: getattr(tables, name.upper()).frame(rows) for name, rows in made.items()}
    names = {"video": "night", "condition": "night", "learned": {}, "evaluation": EVALUATION, "provenance": PROVENANCE}
    return reporting.Material(**(names | given | paths | changes))


class Page(html.parser.HTMLParser):
    """What a page consists of; fails where tags do not match."""

    VOID = ("meta", "img", "line", "circle", "wbr")

    def __init__(self, text: str):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


MANY = [0, 1, 2, 3, 4, 0, 1, 2, 3, 0, 1, 2, 4, 0, 1, 2, 3, 0, 1, 2, 4]


@pytest.mark.parametrize(
    "runners, evaluation",
    [
        ([], None),
        ([], EVALUATION | {"systems": {}}),
        ([0], None),
        ([0, 0, 0], EVALUATION),
        (MANY, EVALUATION),
        (MANY, {name: value for name, value in EVALUATION.items() if name != "tracking"}),
    ],
    ids=["nothing", "nothing found", "one scene", "one runner", "many", "labels without boxes"],
)
def test_a_page_is_whole_and_stands_alone(tmp_path, runners, evaluation):
    report = reporting.make_report(practice(tmp_path, runners, evaluation=evaluation), **CHOICES)
    page = Page(report.page)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    links = [link["href"] for link in page.all("a")]
    assert len(ids) == len(set(ids))
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert all(link.startswith("#") for link in links)
    assert all(image["src"].startswith("data:image/webp;base64,") and image["alt"] for image in page.all("img"))
    assert not re.findall(r"https?:|url\(|@import|<script|<link", report.page)
    assert len([a for a in page.all("article")]) == len(set(runners))
    assert len(page.all("rect")) == len(runners)
    assert ("Against the labels" in page.text) == (evaluation is not None)
    assert ("HOTA" in page.text) == (evaluation is not None and "tracking" in evaluation)


def test_what_networks_learned_is_shown(tmp_path):
    page = reporting.make_report(
        practice(tmp_path, MANY, learned={"gru_ae": b"1", "hhcl_person": b"2"}), **CHOICES
    ).page
    assert "gru_ae: a row of frames" in page and "hhcl_person: every row" in page
    assert "What the networks learned" not in reporting.make_report(practice(tmp_path, MANY), **CHOICES).page


def test_the_same_material_gives_the_same_bytes(tmp_path):
    material = practice(tmp_path, MANY)
    assert reporting.make_report(material, **CHOICES).page == reporting.make_report(material, **CHOICES).page


def test_names_from_outside_are_escaped(tmp_path):
    name = '<script>alert("1")</script>'
    evaluation = EVALUATION | {"systems": {name: SCORES}}
    provenance = PROVENANCE | {"weights": {name: name}, "seconds": {name: 1.0}}
    material = practice(tmp_path, [0, 0], video=name, condition=name, evaluation=evaluation, provenance=provenance)
    material = dataclasses.replace(material, scenes=material.scenes.with_columns(direction=pl.lit(name)))
    report = reporting.make_report(material, **CHOICES | {"system": name})
    assert "<script" not in report.page
    assert report.page.count("&lt;script&gt;") >= 9


def test_doubtful_assignments_are_marked(tmp_path):
    report = reporting.make_report(practice(tmp_path, MANY), **CHOICES)
    assert report.laps["doubt"].drop_nulls().to_list() == ["stranger"] * 3
    assert report.page.count("⚠ may be somebody new") == 3
    assert "3 passages are doubtful" in " ".join(Page(report.page).text.split())
    material = practice(tmp_path, MANY)
    sure = material.identities.with_columns(doubt=pl.lit(""))
    calm = reporting.make_report(dataclasses.replace(material, identities=sure), **CHOICES)
    assert "⚠" not in calm.page


def test_the_table_of_laps(tmp_path):
    report = reporting.make_report(practice(tmp_path, [0, 1, 0, 0]), **CHOICES)
    assert report.laps.schema == reporting.LAPS
    assert report.laps.select("runner", "lap", "start_s", "lap_time_s", "cadence", "scene").rows() == [
        (1, 1, 0.0, None, 182.0, 0),
        (1, 2, 15.0, 15.0, 182.0, 2),
        (1, 3, 22.5, 7.5, 182.0, 3),
        (2, 1, 7.5, None, None, 1),
    ]
    reporting.write_report(report, page=tmp_path / "report.html", laps=tmp_path / "laps.csv")
    assert (tmp_path / "report.html").read_text() == report.page
    header, first, *_, last = csv.reader((tmp_path / "laps.csv").read_text().splitlines())
    assert header == list(reporting.LAPS)
    assert first[:6] == ["1", "1", "0.000", "2.000", "", "right"]
    assert last[:8] == ["2", "1", "7.500", "9.500", "", "left", "3.200", ""]


def test_identities_of_other_scenes_are_refused(tmp_path):
    material = practice(tmp_path, [0, 1])
    with pytest.raises(InputError, match="other scenes"):
        reporting.lap_table(material.scenes, material.identities[:1])


def test_a_passage_broken_in_two_is_one_lap(tmp_path):
    start_s = [0.0, 0.7, 60.0, 121.0, 121.5]
    scenes = pl.DataFrame({"scene": range(5), "start_s": start_s, "end_s": start_s, "direction": ["left"] * 5})
    scenes = scenes.with_columns(speed=pl.lit(3.0), cadence=pl.lit(180.0))
    identities = pl.DataFrame({"scene": range(5), "runner": [0] * 5, "confidence": [1.0] * 5, "doubt": [""] * 5})
    laps = reporting.lap_table(scenes, identities)
    assert laps["lap"].to_list() == [1, 1, 2, 3, 3]
    assert laps["lap_time_s"].to_list() == [None, None, 60.0, 61.0, None]


@pytest.mark.parametrize(
    "confidence, crops_per_runner, expected",
    [
        ([], 3, []),
        ([0.5], 3, [0]),
        ([0.5, 0.1, 0.9], 3, [0, 1, 2]),
        ([0.5, 0.1, 0.9, 0.8, 0.7], 3, [1, 2, 4]),
        ([0.5, 0.1, 0.9], 1, [2]),
        ([0.5, 0.1, 0.9], 0, []),
    ],
)
def test_pictured_scenes_are_the_surest_the_least_sure_and_between(confidence, crops_per_runner, expected):
    n = len(confidence)
    columns = {"runner": [1] * n, "lap": range(1, n + 1), "confidence": confidence, "scene": range(n)}
    laps = pl.DataFrame(columns, schema={name: reporting.LAPS[name] for name in columns})
    assert reporting.pictured_scenes(laps, crops_per_runner=crops_per_runner) == expected


def test_the_most_surely_detected_crop_is_shown(tmp_path):
    material = practice(tmp_path, [0, 1])
    chosen = reporting.best_crops(material.sequences, material.persons, [1])
    assert chosen.rows() == [(1, 7, 0)]


def test_the_clearest_shoe_of_each_runner(tmp_path):
    material = practice(tmp_path, MANY)
    laps = reporting.lap_table(material.scenes, material.identities)
    assert reporting.clearest_shoes(material.shoes, laps) == {17: 1, 18: 2, 16: 4, 20: 5}


def test_a_picture_is_small_and_transparent():
    image, mask = drawn_runner((200, 0, 0), 1.0)
    shown = reporting.picture(image, mask)
    assert shown.height == reporting.PICTURE_PX
    assert shown.width == round(120 * reporting.PICTURE_PX / 220)
    assert reporting.picture(image[:40], mask[:40]).height == 40


@pytest.mark.parametrize("duration_s", [0.2, 5, 6.1, 40, 200, 1200, 5400, 90_000])
def test_a_time_axis_has_few_marks(duration_s):
    marks = reporting.axis_marks(duration_s)
    assert marks[0] == 0
    assert marks[-1] <= duration_s
    assert len(marks) <= reporting.AXIS_MARKS + 1
    assert duration_s < 1 or len(marks) >= 3


def test_an_evaluation_is_read_where_there_is_one(tmp_path):
    path = tmp_path / "eval.json"
    path.write_text('{"video": "night"}')
    assert reporting.read_evaluation([]) is None
    assert reporting.read_evaluation([str(path)]) == {"video": "night"}
    path.write_text("{")
    with pytest.raises(InputError, match=r"eval\.json"):
        reporting.read_evaluation([str(path)])
