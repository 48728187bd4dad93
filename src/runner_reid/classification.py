"""Step 1: which detections are runners, by whichever method is chosen."""

import polars as pl

from runner_reid.errors import InputError, check_choice
from runner_reid.networks import choose_device
from runner_reid.runners import score_all, score_by_network, score_by_speed
from runner_reid.tracking import track_runners
from runner_reid.weights import load_weights

METHODS = ("efficientnet", "speed", "all")


def classify_runners(
    frames: pl.DataFrame,
    persons: pl.DataFrame,
    crops_path: str,
    *,
    method: str,
    efficientnet: dict,
    speed: dict,
    weights: str | list[str],
    training: dict,
    tracking: dict,
    device: str,
) -> pl.DataFrame:
    """How surely each detection is a runner (table RUNNERS).

    frames, persons: tables FRAMES, PERSONS; crops_path: a file PERSON_CROPS.
    method: `efficientnet` (by crop, needs weights trained with `training`), `speed` (by track, tracked with
    `tracking`, no weights) or `all` (everybody). efficientnet, speed: choices of `runners.score_by_network`,
    `runners.score_by_speed`. weights: the path of the network's, else empty.
    Raises InputError for another method, and for a video without any person.
    """
    check_choice("runners.method", method, METHODS)
    if not persons.height:
        raise InputError(
            f"no person was found in {int(frames['selected'].sum())} of {frames.height} frames that were looked at; "
            "expected a video with people; check the video, or lower persons.yolov8.min_score or frames.min_motion"
        )
    everyone = score_all(persons)
    if method == "efficientnet":
        state = load_weights(str(weights), params=training)
        sizes = {name: training[name] for name in ("backbone", "size")}
        return score_by_network(crops_path, state=state, device=choose_device(device), **sizes, **efficientnet)
    if method == "speed":
        return score_by_speed(persons, track_runners(frames, persons, everyone, **tracking), frames, **speed)
    return everyone
