"""Step 2: two-step gait-period unification (Suzuki et al., section 3.3).

A runner's crop is widest when the legs are apart, once per step: the width of the crop repeats with the step period.
"""

import numpy as np
import polars as pl
from scipy.ndimage import median_filter
from scipy.signal import detrend, find_peaks

from runner_reid.tables import SEQUENCES

WHOLE_AREA = 0.8
"""The quantile of the areas of a passage's masks that a runner has whom nobody hides."""

NEARLY_BEST = 0.9
"""Windows that show this share of what the best shows are as good."""
MIN_OWN_FRAMES = 4
"""A passage seen alone in fewer frames is described by all of them."""


def step_period(
    time_s: np.ndarray, width: np.ndarray, *, min_cadence: float, max_cadence: float, min_strength: float
) -> float:
    """The step period in seconds by the autocorrelation of the crop's width; NaN where none is clear.

    time_s, width: (T,) seconds and pixels, one per frame in which the whole runner was seen; gaps are interpolated.
        A crop that the picture's edge cuts off must not be among them: its width says nothing about the legs.
    min_cadence, max_cadence: steps per minute between which the period is looked for.
    min_strength: smallest normalised autocorrelation (-1..1) of a period; larger gives NaN more often.
    The first peak gives the period roughly; the farthest peak that repeats it makes it exact to a fraction of a frame.
    """
    if len(time_s) < 4:
        return float("nan")
    step_s = float(np.median(np.diff(time_s)))
    grid = np.arange(time_s[0], time_s[-1] + step_s / 2, step_s)
    signal = _steady(np.interp(grid, time_s, width))
    correlation = _autocorrelation(signal)
    low, high = 60 / max_cadence / step_s, 60 / min_cadence / step_s
    peaks, _ = find_peaks(correlation[: len(signal) * 3 // 4])
    first = [peak for peak in peaks if np.floor(low) <= peak <= np.ceil(high) and correlation[peak] >= min_strength]
    if not first:
        return float("nan")
    strongest = max(correlation[peak] for peak in first)
    lag = next(_summit(correlation, peak) for peak in first if correlation[peak] >= 0.6 * strongest)
    for multiple in range(2, len(signal)):
        near = [peak for peak in peaks if abs(peak - multiple * lag) <= 0.25 * lag and correlation[peak] > 0]
        if not near:
            break
        best = max(near, key=lambda peak: correlation[peak])
        lag = _summit(correlation, best) / multiple
    return lag * step_s


def unify_gait_periods(
    detections: pl.DataFrame, scenes: pl.DataFrame, *, steps: int, max_frames: int, default_cadence: float
) -> pl.DataFrame:
    """The frames of each scene that hold `steps` steps, cut at the same phase (table SEQUENCES).

    detections, scenes: tables SCENE_DETECTIONS, SCENES.
    default_cadence: steps per minute assumed where a scene's own is unknown.
    max_frames: longer sequences are thinned evenly.
    Every sequence starts where the crop is widest (the phase of the width's fundamental is zero); of the possible
    starts, the one nearest the middle of the scene is taken out of those whose frames show most of the runner, and
    most of it apart from others. Detections that hold another runner too are left out, unless nearly all do.
    """
    parts = []
    ordered = detections.sort("scene", "frame").partition_by("scene", as_dict=True)
    for scene, cadence in scenes.select("scene", "cadence").sort("scene").iter_rows():
        rows = ordered[(scene,)]
        if (alone := rows.filter(pl.col("apart") > 0)).height >= MIN_OWN_FRAMES:
            rows = alone
        period = 60 / (cadence if np.isfinite(cadence) else default_cadence)
        chosen = _cut(
            rows["time_s"].to_numpy(),
            (rows["x2"] - rows["x1"]).to_numpy(),
            rows["inside"].to_numpy(),
            rows["area_px"].to_numpy(),
            rows["apart"].to_numpy(),
            period,
            steps,
        )
        if len(chosen) > max_frames:
            chosen = chosen[np.linspace(0, len(chosen) - 1, max_frames).round().astype(int)]
        parts.append(
            rows[chosen]
            .select("scene", "frame", "person")
            .with_row_index("position")
            .select(pl.col(name).cast(dtype) for name, dtype in SEQUENCES.schema.items())
        )
    return pl.concat(parts) if parts else SEQUENCES.empty()


def _cut(
    time_s: np.ndarray,
    width: np.ndarray,
    inside: np.ndarray,
    area_px: np.ndarray,
    apart: np.ndarray,
    period: float,
    steps: int,
) -> np.ndarray:
    """Indices of the frames of the best window of `steps` periods that starts at phase zero."""
    length = steps * period
    first, last = time_s[0], time_s[-1]
    if last - first <= length:
        return np.arange(len(time_s))
    whole = inside if inside.sum() > 3 else np.ones_like(inside)
    turns = np.exp(-2j * np.pi * (time_s[whole] - first) / period)
    delay = -np.angle(np.sum(_steady(width[whole]) * turns)) / (2 * np.pi) * period
    starts = np.arange(first + delay % period, last - length + 1e-9, period)
    if not len(starts):
        starts = np.array([(first + last - length) / 2])
    middle = (first + last - length) / 2
    shown = whole * apart * np.minimum(1, area_px / max(1.0, np.quantile(area_px[whole], WHOLE_AREA)))
    seen = np.array([shown[(time_s >= start) & (time_s < start + length)].sum() for start in starts])
    good = starts[seen >= NEARLY_BEST * seen.max()]
    start = good[np.abs(good - middle).argmin()]
    return np.flatnonzero((time_s >= start - 1e-9) & (time_s < start + length - 1e-9))


def _steady(width: np.ndarray) -> np.ndarray:
    """A width without outliers and without trend."""
    return detrend(median_filter(width, size=3, mode="nearest"))


def _autocorrelation(signal: np.ndarray) -> np.ndarray:
    """Normalised autocorrelation of (T,) at lags 0..T-1, each over its own overlap."""
    lags = np.arange(len(signal))
    product = np.correlate(signal, signal, mode="full")[len(signal) - 1 :]
    energy = np.concatenate([[0], np.cumsum(signal**2)])
    overlap = np.sqrt((energy[len(signal) - lags] - energy[0]) * (energy[-1] - energy[lags]))
    return np.divide(product, overlap, out=np.zeros_like(product), where=overlap > 1e-9)


def _summit(values: np.ndarray, peak: int) -> float:
    """The place of a peak between samples, by the parabola through it and its neighbours."""
    before, at, after = values[peak - 1 : peak + 2]
    bend = before - 2 * at + after
    return float(peak + (0.5 * (before - after) / bend if bend < 0 else 0.0))
