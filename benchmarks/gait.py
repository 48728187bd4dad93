"""Whether gru_ae sees how somebody runs: runners of one body in the same clothes, who differ by nothing but their gait.

Scenes are drawn by the renderer and cut out by its truth: what is measured is the feature alone.

    python benchmarks/gait.py [day]
"""

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
import yaml

from runner_reid import evaluation, networks, similarity
from runner_reid.crops import SceneCrops
from runner_reid.extractors import color_hist, gru_ae
from runner_reid.practice.camera import LIGHTS, View, shots
from runner_reid.practice.world import Actor, Passage, club
from runner_reid.weights import load_weights

RUNNERS, LAPS = 24, 4
FPS, SUB_FRAMES = 30, 5
VIEW = View(960, 540)
CPU = torch.device("cpu")


def scenes_of(condition: str, rng: np.random.Generator) -> tuple[list[SceneCrops], np.ndarray]:
    """LAPS scenes of each runner, two steps from the same phase, and who runs in each."""
    people = club(rng, RUNNERS)
    alike = [replace(one, look=people[0].look, build=people[0].build) for one in people]
    scenes = [_scene(number, actor, condition, rng) for number, actor in enumerate(alike * LAPS)]
    return scenes, np.array([actor.name for actor in alike * LAPS])


def _scene(number: int, actor: Actor, condition: str, rng: np.random.Generator) -> SceneCrops:
    cadence = actor.gait.cadence_spm * (1 + rng.normal(0, 0.006))
    today = replace(actor, gait=replace(actor.gait, cadence_spm=cadence))
    passage = Passage(today, 5.0, 0.0, 4.65 + rng.normal(0, 0.03), 1, rng.normal(0, 0.06), rng.uniform(), 0.0)
    frames = range(round(4.5 * FPS), round(6.0 * FPS))
    phase = passage.stride_phase(np.array(frames) / FPS)
    first = int(np.argmax(np.floor(phase) > np.floor(phase[0])))
    wanted = [i for i in range(len(frames)) if 0 <= phase[i] - phase[first] < 1 and i >= first]
    light = LIGHTS[condition]
    gain = 1 + light.wander * rng.uniform(-1, 1)
    seen = list(shots(passage, frames, fps=FPS, view=VIEW, light=light, sub_frames=SUB_FRAMES))
    images, masks = [], []
    for shot in (seen[i] for i in wanted):
        assert shot is not None
        x, y, width, height = cv2.boundingRect(shot.body.astype(np.uint8))
        mask = shot.body[y : y + height, x : x + width]
        noisy = gain * shot.sprite[y : y + height, x : x + width, 2::-1] + rng.normal(0, light.noise, (*mask.shape, 3))
        images.append(noisy.clip(0, 255).astype(np.uint8) * mask[..., None])
        masks.append(mask)
    return SceneCrops(number, images, masks)


def main(condition: str) -> None:
    networks.prepare(threads=2)
    params = yaml.safe_load(Path("params.yaml").read_text())
    scenes, names = scenes_of(condition, np.random.default_rng(0))
    choices = {name: params["extractors"]["gru_ae"][name] for name in ("min_frames", "initial_state")}
    trained = load_weights(f"data/weights/{condition}/gru_ae.pt", params=params["training"]["gru_ae"])
    networks.seed_everything(0)
    start = gru_ae.Encoder(**choices).state_dict()
    colour = {
        key: value for key, value in params["extractors"]["color_hist"].items() if key not in ("method", "metric")
    }
    found = {
        "chance": np.random.default_rng(1).random((len(scenes),) * 2),
        "color_hist": similarity.compare(color_hist.extract(scenes, **colour)[1], metric="correlation"),
        **{
            name: similarity.compare(gru_ae.extract(scenes, **choices, state=state, device=CPU)[1], metric="cosine")
            for name, state in (("gru_ae, not trained", start), ("gru_ae", trained))
        },
    }
    allowed = ~np.eye(len(scenes), dtype=bool)
    frames = np.mean([len(scene.images) for scene in scenes])
    print(f"{condition}: {RUNNERS} runners dressed alike, {LAPS} scenes each, of {frames:.0f} frames on average")
    for name, alike in found.items():
        scores = evaluation.strict_scores(alike, allowed, names, non_runners=[], bootstrap=0, seed=0)
        print(f"{name:20} mAP {scores['mAP']:.3f}  rank-1 {scores['rank1']:.3f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "day")
