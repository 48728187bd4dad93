"""Who is who on made-up practices with known runners: what the choices of `identity` were chosen on, instead of labels.

Runners have a look (48 numbers, drawn once); of every four, two are half alike. A scene shows the look of its runner;
noise of a level (0.6 about that of the published night, 1.2 a poor cue) that differs between scenes and is large in
one of ten; and, in 15 % of those behind somebody, half of the look of the one in front. Scenes are missed (7 %) or
found twice (1.5 %), and 3 % are of people who pass once. Three kinds: packs that keep their order, loose packs,
everybody alone at no regular time; each as a long practice (20 runners, 20 minutes) and as a short one (15, 200 s).

    python benchmarks/identities.py [NAME=VALUE ...]     e.g. lap_weight=0 false_match_rate=0.01; default params.yaml
"""

import itertools
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from runner_reid.evaluation import identity_scores, strict_scores
from runner_reid.identity import assign_identities
from runner_reid.ranking import allowed_pairs, seen_together, with_identities
from runner_reid.similarity import compare

KINDS = ("packs", "loose", "alone")
NOISES = (0.6, 0.9, 1.2)
SESSIONS = {"long": (20, 1200.0, 80.0, 60.0), "short": (15, 200.0, 43.0, 30.0)}
"""Runners, duration, lap and min_lap_s, in seconds; who runs alone may come back after 0.55 laps."""
SEEDS = 3
SHARES = (0.0, 0.8)
NON_RUNNERS = ["passer"]


class Practice(NamedTuple):
    """similarity, allowed: (N, N). start_s: (N,). names: (N,) runner0, runner1, ..., passer0, ..."""

    similarity: np.ndarray
    allowed: np.ndarray
    start_s: np.ndarray
    names: np.ndarray


def made_up(kind: str, noise: float, session: str, seed: int) -> Practice:
    runners, duration_s, lap_s, min_lap_s = SESSIONS[session]
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    look = rng.normal(size=(runners + 40, 48))
    look[1:runners:4] = (look[1:runners:4] + look[0 : runners - 1 : 4][: len(look[1:runners:4])]) * np.sqrt(0.5)
    rows, order = [], rng.permutation(runners).tolist()
    while order:
        size = min(int(rng.integers(1, 7)), len(order))
        pack, order = order[:size], order[size:]
        rows += passages(rng, kind, pack, duration_s=duration_s, lap_s=lap_s)
    for passer in range(max(2, len(rows) * 3 // 100)):
        moment_s = rng.uniform(0, duration_s)
        rows.append((moment_s, moment_s + 2, runners + passer % 40, -1))
    rows = sorted(row for row in rows if row[0] < duration_s)
    start_s, end_s, who, ahead = (np.array(column) for column in zip(*rows, strict=True))
    feature = look[who] + noise * rng.normal(size=(len(who), 48)) * rng.choice(
        [0.7, 1, 1.8], (len(who), 1), p=[0.45, 0.45, 0.1]
    )
    hidden = (ahead >= 0) & (rng.random(len(who)) < 0.15)
    feature[hidden] += 0.5 * look[ahead[hidden]]
    least_s = 0.55 * lap_s if kind == "alone" else min_lap_s
    allowed = allowed_pairs(start_s, min_lap_s=least_s) & ~seen_together(start_s, end_s)
    names = np.array([f"runner{n}" if n < runners else f"passer{n}" for n in who.tolist()])
    return Practice(compare(feature, metric="cosine"), allowed, start_s, names)


def passages(rng: np.random.Generator, kind: str, pack: list[int], *, duration_s: float, lap_s: float) -> list[tuple]:
    """start_s, end_s, runner and who runs ahead (-1: nobody) of every scene of a pack."""
    moment_s, own_lap_s = rng.uniform(0, lap_s), lap_s * rng.uniform(0.9, 1.15)
    gaps_s, rows = rng.uniform(0.15, 0.7, len(pack)).cumsum(), []
    jitter_s = {"packs": 0.12, "loose": 1.5, "alone": 0.0}[kind]
    while moment_s < duration_s:
        rest = rng.choice([-0.2, 1.0]) if rng.random() < 0.12 else 0.0
        for place, runner in enumerate(pack):
            late_s = rng.uniform(0, 0.45 * lap_s) if kind == "alone" else rng.normal(0, jitter_s)
            start_s = moment_s + gaps_s[place] + late_s
            if rng.random() > 0.07:
                rows.append((start_s, start_s + rng.uniform(1.8, 2.4), runner, pack[place - 1] if place else -1))
                if rng.random() < 0.015:
                    rows.append((start_s + rng.uniform(-0.5, 2.5), start_s + 2.6, runner, -1))
        moment_s += own_lap_s * (1 + rng.normal(0, 0.01)) * (1 + rest)
        moment_s += rng.uniform(0, 0.3 * lap_s) if kind == "alone" else 0.0
    return rows


def measure(practice: Practice, identity: dict) -> list[float]:
    """ARI, how many runners too many or too few, and mAP of plain similarity and with identities at each of SHARES."""
    similarity, allowed, start_s, names = practice
    found = assign_identities(similarity, allowed, start_s, **identity).columns["runner"]
    scores = identity_scores(found, names, non_runners=NON_RUNNERS)
    mixed = [with_identities(similarity, allowed, start_s, share=share, identity=identity) for share in SHARES]
    ranked = [
        strict_scores(matrix, allowed, names, non_runners=NON_RUNNERS, bootstrap=0, seed=0)["mAP"]
        for matrix in (similarity, *mixed)
    ]
    return [scores["ARI"], abs(scores["found"] - scores["true"]), *ranked]


def main() -> None:
    params = Path(__file__).parents[1] / "params.yaml"
    identity = yaml.safe_load(params.read_text())["identity"]
    identity |= {name: yaml.safe_load(value) for name, value in (given.split("=", 1) for given in sys.argv[1:])}
    print(f"{identity}\n\n| | ARI | runners off by | mAP | " + " | ".join(f"share {share}" for share in SHARES) + " |")
    print("| --- " * (4 + len(SHARES)) + "|")
    rows = []
    for kind, session in itertools.product(KINDS, SESSIONS):
        some = [
            measure(made_up(kind, noise, session, seed), identity)
            for noise, seed in itertools.product(NOISES, range(SEEDS))
        ]
        rows += some
        print(
            f"| {kind}, {session} | " + " | ".join(f"{value:.3f}" for value in np.mean(some, axis=0)) + " |", flush=True
        )
    print("| all | " + " | ".join(f"{value:.4f}" for value in np.mean(rows, axis=0)) + " |")


if __name__ == "__main__":
    main()
