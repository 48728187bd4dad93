"""Saved views of the records: what MLflow's pages show when they are opened by the links of `make mlflow`.

A view is kept as a tag of the experiment, in the form in which MLflow's own "share" button keeps one.
"""

import json
from typing import Any

TAG = "mlflow.sharedViewState."


def _table(kind: str, columns: list[str], *, best: str, charts: list[dict] | None = None) -> dict[str, Any]:
    """A view of the runs of a kind with these columns, the largest value of `best` first."""
    view = {
        "searchFilter": f"tags.kind = '{kind}'",
        "orderByKey": best,
        "orderByAsc": False,
        "selectedColumns": ["attributes.`Created`", *columns],
    }
    if charts is None:
        return view
    section = {"uuid": "figures", "name": "Figures", "display": True, "isReordered": False, "deleted": False}
    return view | {
        "compareRunSections": [{**section, "isGenerated": False}],
        "compareRunCharts": [
            {"uuid": f"chart{number}", "metricSectionId": "figures", "isGenerated": False, "deleted": False, **chart}
            for number, chart in enumerate(charts)
        ],
    }


def _bars(metric: str) -> dict:
    return {"type": "BAR", "metricKey": metric}


def _curve(metric: str) -> dict:
    return {
        **{"type": "LINE", "metricKey": metric, "selectedMetricKeys": [metric], "scaleType": "linear"},
        **{"xAxisKey": "step", "xAxisScaleType": "linear", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }


_SYSTEM = ["metrics.`strict/mAP`", "metrics.`strict/rank1`", "metrics.`paper/mAP`", "metrics.`identities/ARI`"]
_WEIGHTS = ["gru_ae", "color_hist", "shoe_hist", "color_lab", "shoe_lab", "hhcl_person", "hhcl_shoe"]

VIEWS: dict[str, dict[str, Any]] = {
    "videos": _table(
        "evaluation",
        [
            *["tags.`condition`", "metrics.`scenes/recall`", "metrics.`scenes/precision`"],
            *["metrics.`tracking/MOTA`", "metrics.`tracking/IDF1`", "metrics.`tracking/HOTA`"],
        ],
        best="metrics.`scenes/recall`",
    ),
    "systems": _table(
        "system",
        ["tags.`video`", *_SYSTEM],
        best="metrics.`strict/mAP`",
        charts=[_bars("strict/mAP"), _bars("identities/ARI"), _curve("strict/cmc")],
    ),
    "sweep": _table(
        "system",
        ["tags.`video`", *(f"params.`weights.{name}`" for name in _WEIGHTS), *_SYSTEM],
        best="metrics.`strict/mAP`",
        charts=[
            {
                "type": "PARALLEL",
                "selectedParams": ["weights.gru_ae", "weights.color_hist"],
                "selectedMetrics": ["strict/mAP"],
            },
            _bars("strict/mAP"),
        ],
    ),
    "trainings": _table(
        "training",
        ["tags.`condition`", "tags.`model`", "metrics.`loss`", "metrics.`system/seconds`"],
        best="attributes.start_time",
    ),
}


def tags() -> dict[str, str]:
    """The views as tags of an experiment."""
    return {f"{TAG}{name}": json.dumps(view) for name, view in VIEWS.items()}


def links(server: str, experiment: str) -> dict[str, str]:
    """Where each view is found, as a table; with `&compareRunsMode=CHART` behind it, its charts.

    >>> links("http://127.0.0.1:5000", "1")["videos"]
    'http://127.0.0.1:5000/#/experiments/1/runs?viewStateShareKey=videos'
    """
    page = f"{server}/#/experiments/{experiment}/runs?viewStateShareKey="
    return {name: f"{page}{name}" for name in VIEWS}
