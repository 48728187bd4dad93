"""How a body moves: the bones over the phase of a stride.

Metres, x forward and y up, from the point on the ground under the hips. An angle is the direction of a bone
from its origin to its other end, counter-clockwise from forward; a leg that hangs down has -pi/2. The foot is
on the ground at the true speed while it bears weight (it does not skate); in between, the ankle follows a
spline and the knee is solved for.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline

if TYPE_CHECKING:
    from runner_reid.practice.world import Build, Gait

DOWN = -np.pi / 2
SIDES = ("far", "near")
LIMBS = ("upper_arm", "forearm", "thigh", "shank", "foot", "toe")
BONES = ("trunk", "pelvis", "neck", "head", "tail", *(f"{side}_{limb}" for side in SIDES for limb in LIMBS))
BONE = {name: number for number, name in enumerate(BONES)}

TRUNK, THIGH, SHANK, UPPER_ARM, FOREARM = 0.288, 0.245, 0.246, 0.186, 0.146
HEAD_UP, HEAD_FORWARD = 0.115, 0.022
ANKLE_UP, BALL, HEEL = 0.048, 0.072, 0.042
"""Lengths in body heights: bones; centre of the head from the shoulders; height of the ankle above the sole;
ball of the foot before, heel behind the ankle."""
SIDE_M = {"far": 1.0, "near": -1.0}
"""Which way a side lies from the middle of the body, seen from the camera."""
HIP_OUT_M, FOOT_OUT_M, SHOULDER_OUT_M, HAND_OUT_M = 0.09, 0.05, 0.17, 0.16
CAMERA_TILT = 0.176
"""What is a metre further away appears this many metres higher."""

RUN_KEYS = np.array(
    [[0.15, -0.70, 0.34], [0.36, -0.50, 0.58], [0.56, 0.02, 0.47], [0.74, 0.40, 0.33], [0.89, 0.53, 0.20]]
)
WALK_KEYS = np.array([[0.22, -0.42, 0.26], [0.50, -0.02, 0.16], [0.75, 0.42, 0.15], [0.90, 0.56, 0.15]])
"""Share of swing, ankle before the hip and above the ground in leg lengths."""


def direction(angle: np.ndarray) -> np.ndarray:
    """(...) angles -> (..., 2) unit vectors."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def place(origin: np.ndarray, angle: np.ndarray, along: float, across: float) -> np.ndarray:
    """A point fixed to a bone: `along` it from its origin, `across` it (forward for one that hangs down)."""
    heading = direction(angle)
    normal = np.stack([-heading[..., 1], heading[..., 0]], axis=-1)
    return origin + along * heading + across * normal


def pose(
    phase: np.ndarray, time_s: np.ndarray, *, build: "Build", gait: "Gait", speed_mps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Bones of somebody at given phases of the stride.

    phase: (N,) strides. time_s: (N,) seconds, for what does not follow the stride. speed_mps: at least 0.
    Returns origins (N, len(BONES), 2) in metres and angles (N, len(BONES)).
    """
    if gait.kind == "stand":
        return _standing(time_s, build=build, gait=gait)
    origin, angle = np.zeros((len(phase), len(BONES), 2)), np.zeros((len(phase), len(BONES)))
    legs = LegCycle(build, gait, speed_mps)
    hips = np.stack([np.zeros_like(phase), legs.hip_m + legs.bounce_m(phase)], axis=-1)
    swing = np.cos(2 * np.pi * (phase - legs.forward_phase))
    lean = gait.lean_rad + 0.025 * np.cos(4 * np.pi * (phase - legs.duty))
    for side, shift in (("near", 0.0), ("far", 0.5)):
        sign = 1.0 if side == "near" else -1.0
        hip = hips + np.stack([sign * swing * legs.rotation_m, np.zeros_like(swing)], axis=-1)
        _set_leg(origin, angle, side, hip, legs.foot(phase + shift), build=build)
    _set_trunk(origin, angle, hips, lean, swing, phase=phase, build=build, run=gait.kind == "run")
    for side, sign in (("near", -1.0), ("far", 1.0)):
        shoulder = place(origin[:, BONE["trunk"]], angle[:, BONE["trunk"]], 0.012 * build.height_m, 0.0)
        shoulder = shoulder + np.stack([sign * swing * 0.026 * build.height_m, np.zeros_like(swing)], axis=-1)
        upper = DOWN + gait.arm_rest_rad + sign * gait.arm_swing_rad * swing
        bend = gait.elbow_rad + sign * (0.22 if gait.kind == "run" else 0.12) * swing
        _set_arm(origin, angle, side, shoulder, upper, bend, build=build)
    return origin, angle


class Foot(NamedTuple):
    """A foot at N moments.

    ankle: (N, 2) metres. held: (N,) pitch that the ground asks for. free: (N,) 0..1, how far the pitch
    follows the shank instead. droop: (N,) how far the toes then hang below square. swing: (N,) share of the
    swing, 0 on the ground.
    """

    ankle: np.ndarray
    held: np.ndarray
    free: np.ndarray
    droop: np.ndarray
    swing: np.ndarray


class LegCycle:
    """One stride of one leg: where the ankle is and how the foot is pitched, in closed form.

    duty: share of the stride on the ground. forward_phase: where the thigh is furthest forward. hip_m: mean
    height.
    """

    def __init__(self, build: "Build", gait: "Gait", speed_mps: float):
        self._build, self._gait = build, gait
        self._height_m, self._run = build.height_m, gait.kind == "run"
        self._leg_m = (THIGH + SHANK) * build.leg * build.height_m
        self._stride_m = speed_mps * 120.0 / gait.cadence_spm
        self.duty = min(gait.duty, gait.reach * build.height_m / self._stride_m)
        self._push_rad = 1.15
        self.rotation_m = 0.03 if self._run else 0.02
        self.forward_phase = 1.0 - 0.2 * (1 - self.duty) if self._run else 0.97
        self._ankle = self._spline()
        grid = np.linspace(0.0, (1.0 if self._run else 0.92) * self.duty, 25)
        ankle, _ = self._support(grid / self.duty)
        hip_x = self.rotation_m * np.cos(2 * np.pi * (grid - self.forward_phase))
        slack = np.sqrt(np.maximum((0.992 * self._leg_m) ** 2 - (ankle[:, 0] - hip_x) ** 2, 0.0))
        self.hip_m = float(np.min(ankle[:, 1] + slack - self.bounce_m(grid)))

    def bounce_m(self, phase: np.ndarray) -> np.ndarray:
        """Runners are lowest, walkers highest in the middle of the support."""
        wave = np.cos(4 * np.pi * (phase - self.duty / 2))
        return (-1.0 if self._run else 1.0) * self._gait.bounce_m * wave

    def foot(self, phase: np.ndarray) -> "Foot":
        """The foot at (N,) phases."""
        phase = np.mod(phase, 1.0)
        stance = phase < self.duty
        on, pitch = self._support(np.clip(phase / self.duty, 0.0, 1.0))
        swing = np.where(stance, 0.0, np.clip((phase - self.duty) / (1 - self.duty), 0.0, 1.0))
        return Foot(
            ankle=np.where(stance[:, None], on, self._ankle(swing)),
            held=np.where(stance, pitch, np.where(swing < 0.5, self._push_rad, self._gait.strike_rad)),
            free=np.where(stance, 0.0, np.interp(swing, [0.0, 0.18, 0.8, 1.0], [0.0, 1.0, 1.0, 0.0])),
            droop=(1.0 if self._run else 0.3)
            * np.interp(swing, [0.0, 0.12, 0.4, 0.7, 1.0], [0.6, 0.55, 0.25, 0.02, 0.0]),
            swing=swing,
        )

    def _support(self, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ankle (N, 2) and pitch (N,) over the share of the support, the ball of the foot moving with the
        ground."""
        height_m, gait = self._height_m, self._gait
        travel_m = self.duty * self._stride_m
        lead_m = (0.455 if self._run else 0.50) * travel_m + 0.012 * height_m
        lands, leaves = np.clip(1 - share / 0.25, 0, 1), np.clip((share - 0.42) / 0.58, 0, 1)
        pitch = gait.strike_rad * lands**2 + self._push_rad * leaves**1.7
        angle = DOWN - pitch
        ball = np.stack([lead_m - travel_m * share, np.zeros_like(share)], axis=-1)
        zero = np.zeros((len(share), 2))
        ankle = ball - place(zero, angle, ANKLE_UP * height_m, BALL * height_m)
        heel_m = place(ankle, angle, ANKLE_UP * height_m, -HEEL * height_m)[:, 1]
        ankle[:, 1] -= np.minimum(heel_m, 0.0)
        return ankle, pitch

    def _spline(self) -> CubicSpline:
        """Ankle (2,) over the share of the swing; leaves and meets the ground with the speed of the
        support."""
        share = np.array([0.0, 0.02, 0.98, 1.0])
        ankle, _ = self._support(share)
        per_swing = (1 - self.duty) / self.duty
        off, down = (ankle[3] - ankle[2]) / 0.02 * per_swing, (ankle[1] - ankle[0]) / 0.02 * per_swing
        keys = (RUN_KEYS if self._run else WALK_KEYS).copy()
        if self._run:
            keys[:, 2] *= np.interp(keys[:, 0], [0.15, 0.4, 0.7, 1.0], [1.0, self._gait.lift / 0.58, 1.0, 1.0])
            keys[2:, 1:] *= [1.0, self._gait.knee]
            keys[3:, 1] *= 0.5 + 0.5 * self._gait.knee
        points = np.vstack([ankle[3], keys[:, 1:] * self._leg_m, ankle[0]])
        shares = np.concatenate([[0.0], keys[:, 0], [1.0]])
        return CubicSpline(shares, points, bc_type=((1, off), (1, 0.8 * down)))


def _set_leg(origin: np.ndarray, angle: np.ndarray, side: str, hip: np.ndarray, foot: Foot, *, build: "Build") -> None:
    """Solve the knee and place thigh, shank, foot, toe."""
    thigh_m, shank_m = THIGH * build.leg * build.height_m, SHANK * build.leg * build.height_m
    reach = foot.ankle - hip
    distance_m = np.clip(np.hypot(*reach.T), abs(thigh_m - shank_m) + 0.05, (thigh_m + shank_m) * 0.9995)
    towards = np.arctan2(reach[:, 1], reach[:, 0])
    bend = np.arccos(np.clip((thigh_m**2 + distance_m**2 - shank_m**2) / (2 * thigh_m * distance_m), -1, 1))
    thigh = np.mod(towards + bend + 1.5 * np.pi, 2 * np.pi) - 1.5 * np.pi
    knee = hip + thigh_m * direction(thigh)
    shank = np.arctan2(foot.ankle[:, 1] - knee[:, 1], foot.ankle[:, 0] - knee[:, 0])
    shank = np.mod(shank + 1.75 * np.pi, 2 * np.pi) - 1.75 * np.pi
    pitch = foot.held * (1 - foot.free) + (DOWN - shank + foot.droop) * foot.free
    toe = np.where(foot.swing > 0, pitch * np.clip(foot.swing / 0.12, 0, 1), np.minimum(pitch, 0.0))
    out_m = SIDE_M[side] * CAMERA_TILT
    ankle_seen = knee + shank_m * direction(shank)
    ball = place(ankle_seen, DOWN - pitch, ANKLE_UP * build.height_m, BALL * build.height_m)
    parts = (
        ("thigh", hip, thigh, HIP_OUT_M),
        ("shank", knee, shank, (HIP_OUT_M + FOOT_OUT_M) / 2),
        ("foot", ankle_seen, DOWN - pitch, FOOT_OUT_M),
        ("toe", ball, DOWN - toe, FOOT_OUT_M),
    )
    for limb, start, heading, lateral_m in parts:
        number = BONE[f"{side}_{limb}"]
        origin[:, number] = start + np.array([0.0, out_m * lateral_m])
        angle[:, number] = heading


def _set_trunk(
    origin: np.ndarray,
    angle: np.ndarray,
    hips: np.ndarray,
    lean: np.ndarray,
    swing: np.ndarray,
    *,
    phase: np.ndarray,
    build: "Build",
    run: bool,
) -> None:
    """Place pelvis, trunk, neck, head and the tail of the hair."""
    height_m = build.height_m
    up = direction(np.pi / 2 - lean)
    shoulders = hips + TRUNK * height_m * up
    head = shoulders + height_m * (HEAD_UP * direction(np.pi / 2 - 0.5 * lean) + [HEAD_FORWARD, 0.0])
    bob = np.sin(4 * np.pi * phase)
    settings = (
        ("trunk", shoulders, DOWN - lean),
        ("pelvis", hips, DOWN - 0.6 * lean - 0.08 + 0.03 * swing),
        ("neck", shoulders + np.array([0.004 * height_m, 0.0]), np.arctan2(*(head - shoulders).T[::-1])),
        ("head", head, DOWN - 0.3 * lean + 0.02 * bob),
        ("tail", place(head, DOWN - 0.3 * lean, -0.02 * height_m, -0.048 * height_m), _tail(phase, run)),
    )
    for bone, start, heading in settings:
        origin[:, BONE[bone]] = start
        angle[:, BONE[bone]] = heading


def _tail(phase: np.ndarray, run: bool) -> np.ndarray:
    """A ponytail swings twice a stride, behind the hips."""
    swing = 0.45 * np.sin(4 * np.pi * phase - 0.9) if run else 0.08 * np.sin(4 * np.pi * phase)
    return DOWN - (0.75 if run else 0.25) + swing


def _set_arm(
    origin: np.ndarray,
    angle: np.ndarray,
    side: str,
    shoulder: np.ndarray,
    upper: np.ndarray,
    bend: np.ndarray,
    *,
    build: "Build",
) -> None:
    """Place upper arm and forearm."""
    out_m = SIDE_M[side] * CAMERA_TILT
    elbow = shoulder + UPPER_ARM * build.arm * build.height_m * direction(upper)
    for limb, start, heading, lateral_m in (
        ("upper_arm", shoulder, upper, SHOULDER_OUT_M),
        ("forearm", elbow, upper + bend, HAND_OUT_M),
    ):
        number = BONE[f"{side}_{limb}"]
        origin[:, number] = start + np.array([0.0, 0.5 * out_m * lateral_m])
        angle[:, number] = heading


def _standing(time_s: np.ndarray, *, build: "Build", gait: "Gait") -> tuple[np.ndarray, np.ndarray]:
    """Somebody who stands: shifts the weight, and points or looks at a watch now and then."""
    origin, angle = np.zeros((len(time_s), len(BONES), 2)), np.zeros((len(time_s), len(BONES)))
    height_m, nothing = build.height_m, np.zeros_like(time_s)
    shift = 0.022 * np.sin(0.55 * time_s) + 0.008 * np.sin(1.7 * time_s + 1)
    leg_m = (THIGH + SHANK) * build.leg * height_m
    hips = np.stack([shift, np.full_like(time_s, ANKLE_UP * height_m + 0.988 * leg_m)], axis=-1)
    for side, forward_m in (("near", 0.05), ("far", -0.07)):
        ankle = np.stack([np.full_like(time_s, forward_m), np.full_like(time_s, ANKLE_UP * height_m)], axis=-1)
        _set_leg(origin, angle, side, hips, Foot(ankle, nothing, nothing, nothing, nothing), build=build)
    lean = gait.lean_rad + 0.02 * np.sin(0.4 * time_s)
    _set_trunk(origin, angle, hips, lean, nothing, phase=0.1 * time_s, build=build, run=False)
    points = np.clip(2.2 * np.sin(0.9 * time_s) * np.sin(0.23 * time_s + 0.7), 0, 1)
    for side, raised, bent in (("near", points, 0.0), ("far", 0.15 * points, 0.6)):
        shoulder = place(origin[:, BONE["trunk"]], angle[:, BONE["trunk"]], 0.012 * height_m, 0.0)
        upper = DOWN - 0.12 + 1.15 * raised + 0.04 * np.sin(1.3 * time_s)
        bend = gait.elbow_rad * (1 - 0.55 * raised) + bent + 0.05 * np.sin(1.1 * time_s)
        _set_arm(origin, angle, side, shoulder, upper, bend, build=build)
    return origin, angle
