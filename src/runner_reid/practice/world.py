"""Who takes part in a practice, and when and where they pass the camera."""

from dataclasses import dataclass, replace

import numpy as np

from runner_reid.practice.looks import (
    Look,
    club_looks,
    coach_look,
    crosser_look,
    sprinter_look,
    walker_look,
)

LAP_M = 200.0
"""Length of a lap: 43 s at 4.65 m/s."""
MIN_LAP_S = 34.0
"""No runner comes back sooner than this."""
LANE_DEPTHS_M = (-1.83, -0.61, 0.61)
"""Where the runners run, from the middle of the track; positive is away from the camera."""
BEYOND_M = 12.0
"""Further than this from the middle, nobody is in the picture."""
GROUP_SIZES = (4, 3, 3, 2, 2, 1)


@dataclass(frozen=True)
class Build:
    """Proportions of a body. height_m: without shoes. girth, leg, arm: 1 is average."""

    height_m: float
    girth: float
    leg: float
    arm: float


@dataclass(frozen=True)
class Gait:
    """How somebody moves.

    kind: `run`, `walk` or `stand`. cadence_spm: steps per minute, 0 for who stands. duty: largest share of a
    stride that a foot may stay on the ground. reach: how far it travels there, in body heights. lift: height
    of the heel in swing, in leg lengths. knee: how far the knee drives forward. bounce_m: half the vertical
    travel of the hips. strike_rad: pitch of the foot at landing, negative on the heel. lean_rad,
    arm_swing_rad, arm_rest_rad, elbow_rad: trunk and arms.
    """

    kind: str
    cadence_spm: float
    duty: float
    reach: float
    lift: float
    knee: float
    bounce_m: float
    strike_rad: float
    lean_rad: float
    arm_swing_rad: float
    arm_rest_rad: float
    elbow_rad: float


@dataclass(frozen=True)
class Actor:
    """A human being. name: `runner01`, `walker1`, `coach1`, `sprinter1`, `crosser1`."""

    name: str
    build: Build
    gait: Gait
    look: Look

    @property
    def runner(self) -> bool:
        return self.name.startswith("runner")


@dataclass(frozen=True)
class Passage:
    """One actor once before the camera.

    middle_s: when the hips are at `middle_m` (0 is the middle of the picture). speed_mps: positive to the
    right, 0 for who stands. facing: 1 to the right, -1 to the left. depth_m: from the middle of the track,
    positive away from the camera. stay_s: how long somebody who stands stays.
    """

    actor: Actor
    middle_s: float
    middle_m: float
    speed_mps: float
    facing: int
    depth_m: float
    phase: float
    stay_s: float

    def span_s(self, half_m: float) -> tuple[float, float]:
        """First and last second with the hips within `half_m` of the middle of the picture, or of the
        stay."""
        half_s = self.stay_s / 2 if self.speed_mps == 0 else half_m / abs(self.speed_mps)
        return self.middle_s - half_s, self.middle_s + half_s

    def place_m(self, time_s: np.ndarray) -> np.ndarray:
        """Where the hips are: metres to the right of the middle of the picture."""
        return self.middle_m + self.speed_mps * (np.asarray(time_s) - self.middle_s)

    def stride_phase(self, time_s: np.ndarray) -> np.ndarray:
        """Strides since the beginning (a stride is two steps; whole numbers are landings of the near
        foot)."""
        return self.phase + (np.asarray(time_s) - self.middle_s) * self.actor.gait.cadence_spm / 120.0


def practice_passages(*, seed: int, duration_s: float, runners: int, crowd: int) -> list[Passage]:
    """Everybody's passages, in order of the time at which they start.

    The people depend on the seed and the number of runners; the times also on the duration. A larger `crowd`
    brings so many times as many people who are no runners. Without runners there is nobody at all.
    """
    if runners == 0:
        return []
    people, times = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])
    passages = _laps(club(people, runners), times, duration_s)
    passages += _others(people, times, duration_s, start_s=min(passage.middle_s for passage in passages), crowd=crowd)
    spans = [passage.span_s(BEYOND_M) for passage in passages]
    order = sorted(range(len(passages)), key=lambda number: spans[number])
    return [passages[number] for number in order if spans[number][1] > 0 and spans[number][0] < duration_s]


def club(rng: np.random.Generator, runners: int) -> list[Actor]:
    """The runners: own bodies and gaits; of every eight, two are dressed alike and two share a shoe model."""
    looks = club_looks(rng, runners)
    return [Actor(f"runner{n + 1:02d}", _build(rng), _running(rng), look) for n, look in enumerate(looks)]


def _build(rng: np.random.Generator) -> Build:
    return Build(
        height_m=float(rng.uniform(1.60, 1.88)),
        girth=float(rng.uniform(0.86, 1.10)),
        leg=float(rng.uniform(0.965, 1.035)),
        arm=float(rng.uniform(0.95, 1.05)),
    )


def _running(rng: np.random.Generator) -> Gait:
    return Gait(
        kind="run",
        cadence_spm=float(rng.uniform(160, 195)),
        duty=0.36,
        reach=float(rng.uniform(0.43, 0.49)),
        lift=float(rng.uniform(0.46, 0.66)),
        knee=float(rng.uniform(0.88, 1.12)),
        bounce_m=float(rng.uniform(0.025, 0.05)),
        strike_rad=float(rng.uniform(-0.22, 0.08)),
        lean_rad=float(rng.uniform(0.04, 0.19)),
        arm_swing_rad=float(rng.uniform(0.42, 0.82)),
        arm_rest_rad=float(rng.uniform(-0.30, -0.08)),
        elbow_rad=float(rng.uniform(1.45, 1.95)),
    )


def _walking(rng: np.random.Generator) -> Gait:
    return Gait(
        kind="walk",
        cadence_spm=float(rng.uniform(104, 116)),
        duty=0.60,
        reach=1.0,
        lift=0.22,
        knee=1.0,
        bounce_m=0.018,
        strike_rad=-0.32,
        lean_rad=float(rng.uniform(0.0, 0.06)),
        arm_swing_rad=float(rng.uniform(0.22, 0.38)),
        arm_rest_rad=-0.02,
        elbow_rad=float(rng.uniform(0.2, 0.4)),
    )


def _standing(rng: np.random.Generator) -> Gait:
    return replace(_walking(rng), kind="stand", cadence_spm=0.0, lean_rad=0.02, elbow_rad=1.3)


def _group_sizes(runners: int) -> list[int]:
    """Sizes of the groups that run together.

    >>> _group_sizes(15), _group_sizes(3), _group_sizes(1)
    ([4, 3, 3, 2, 2, 1], [2, 1], [1])
    """
    if runners <= 3:
        return [2] * (runners // 2) + [1] * (runners % 2)
    sizes: list[int] = []
    while sum(sizes) < runners:
        sizes.append(min(GROUP_SIZES[len(sizes) % len(GROUP_SIZES)], runners - sum(sizes)))
    return sizes


def _laps(actors: list[Actor], rng: np.random.Generator, duration_s: float) -> list[Passage]:
    """All laps of all runners. One runner drops out and one joins late if there is time for two laps."""
    order = rng.permutation(len(actors))
    sizes = _group_sizes(len(actors))
    cycle_s = min(43.0, 0.85 * duration_s)
    starts_s = 1.5 + cycle_s * (np.arange(len(sizes)) + rng.uniform(0.0, 0.35, len(sizes))) / len(sizes)
    leaves, joins = (order[0], order[-1]) if duration_s > 100 and len(actors) > 3 else (None, None)
    passages, member = [], 0
    for size, start_s in zip(rng.permutation(sizes), starts_s, strict=True):
        group_lap_s = rng.uniform(41.5, 43.5)
        gap_s, lanes = 0.0, rng.permutation(3)
        for place in range(size):
            index = order[member]
            own = Lapper(
                first_s=start_s + gap_s,
                lap_s=group_lap_s + rng.normal(0.0, 0.25),
                depth_m=LANE_DEPTHS_M[lanes[place % 3]] + rng.uniform(-0.22, 0.22),
                leave_s=duration_s * 0.55 if index == leaves else duration_s,
                join_s=duration_s * 0.4 if index == joins else 0.0,
            )
            passages += own.passages(actors[index], rng, duration_s)
            gap_s += rng.uniform(0.25, 0.60)
            member += 1
    return passages


@dataclass(frozen=True)
class Lapper:
    """The rhythm of one runner's laps."""

    first_s: float
    lap_s: float
    depth_m: float
    leave_s: float
    join_s: float

    def passages(self, actor: Actor, rng: np.random.Generator, duration_s: float) -> list[Passage]:
        """One passage per lap; the lap time drifts and jitters, the speed follows it."""
        passages, time_s, drift_s = [], self.first_s, 0.0
        while time_s < duration_s + 4:
            drift_s += rng.normal(0.0, 0.12)
            lap_s = float(np.clip(self.lap_s + drift_s + rng.normal(0.0, 0.18), 40.0, 46.0))
            if self.join_s <= time_s <= self.leave_s:
                speed_mps = LAP_M / lap_s
                cadence_spm = actor.gait.cadence_spm * (1 + rng.normal(0.0, 0.006))
                today = replace(actor, gait=replace(actor.gait, cadence_spm=float(cadence_spm)))
                depth_m = self.depth_m + rng.normal(0.0, 0.06)
                passages.append(
                    Passage(today, float(time_s), 0.0, speed_mps, 1, float(depth_m), float(rng.uniform()), 0.0)
                )
            time_s += max(lap_s, MIN_LAP_S + 2)
        return passages


def _others(
    people: np.random.Generator, rng: np.random.Generator, duration_s: float, start_s: float, crowd: int
) -> list[Passage]:
    """Everybody who is no runner of the practice, as many as the time allows, times `crowd`."""
    passages = []
    walkers = crowd * max(1, round(duration_s / 66)) if duration_s >= 5 else 0
    for n in range(walkers):
        actor = Actor(f"walker{n + 1}", _build(people), _walking(people), walker_look(people, n))
        facing = 1 if n % 2 else -1
        middle_s = duration_s * (n + 0.5 + rng.uniform(-0.15, 0.15)) / walkers
        depth_m = rng.choice([4.2, 5.0, 1.9])
        passages.append(_crossing(actor, middle_s, facing * rng.uniform(1.25, 1.4), depth_m, rng))
    for n in range(crowd if duration_s >= 15 else 0):
        gait = replace(
            _running(people), cadence_spm=float(people.uniform(245, 262)), lift=0.74, knee=1.2, lean_rad=0.14,
            strike_rad=0.12, arm_swing_rad=0.95, reach=0.50,
        )  # fmt: skip
        actor = Actor(f"sprinter{n + 1}", _build(people), gait, sprinter_look(people, n))
        for share in (0.62,) if duration_s < 120 else (0.27, 0.73):
            middle_s = duration_s * ((share + n / crowd) % 1 + rng.uniform(-0.06, 0.06))
            passages.append(_crossing(actor, middle_s, rng.uniform(8.2, 8.9), rng.choice([-0.61, 1.83]), rng))
    if duration_s >= 30:
        crossers = crowd * (1 if duration_s < 150 else 2)
        for n in range(crossers):
            gait = replace(_running(people), cadence_spm=float(people.uniform(154, 164)), lift=0.45, knee=0.85)
            actor = Actor(f"crosser{n + 1}", _build(people), gait, crosser_look(people, n))
            middle_s = duration_s * ((0.36 + 0.5 * n / crowd) % 1 + rng.uniform(-0.08, 0.08))
            passages.append(_crossing(actor, middle_s, -rng.uniform(3.0, 3.5), rng.choice([1.83, 3.4]), rng))
    for n in range(crowd if duration_s >= 40 else 0):
        actor = Actor(f"coach{n + 1}", _build(people), _standing(people), coach_look(people, n))
        stay_s = 0.18 * duration_s / crowd
        middle_s = start_s + duration_s * ((rng.uniform(0.3, 0.6) + n / crowd) % 1)
        passages.append(
            Passage(actor, float(middle_s), float(rng.uniform(-3.0, 3.0)), 0.0, -1, 3.3, 0.0, float(stay_s))
        )
    return passages


def _crossing(actor: Actor, middle_s: float, speed_mps: float, depth_m: float, rng: np.random.Generator) -> Passage:
    facing = 1 if speed_mps > 0 else -1
    return Passage(actor, float(middle_s), 0.0, float(speed_mps), facing, float(depth_m), float(rng.uniform()), 0.0)
