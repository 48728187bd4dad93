"""What a body looks like: flat parts fixed to its bones, in the order in which they are painted.

A limb is a stack of bands, the outline first in its darkest shade, then narrower and lighter ones that wander
to the side of the light as the limb turns: four polygons look like a lit cylinder.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runner_reid.practice import shapes
from runner_reid.practice.body import ANKLE_UP, BONE, SHANK, THIGH

if TYPE_CHECKING:
    from runner_reid.practice.looks import Colour, Look, Shoes
    from runner_reid.practice.world import Actor, Build

VERTICES = 18
"""Vertices of every part."""
BODY, FAR_SHOE, NEAR_SHOE = 1, 2, 3
"""Labels of the pixels of a body."""
BANDS = ((0.0, 1.0, 0.60), (0.16, 0.82, 0.80), (0.34, 0.56, 0.97), (0.52, 0.26, 1.09))
"""Of a limb, in half widths: how far a band wanders to the light, its half width, its brightness."""
FAR_SIDE = 0.74
"""Brightness of the limbs on the far side."""


@dataclass(frozen=True)
class Figure:
    """The parts of one body in painting order.

    base: (P, VERTICES, 2) metres along and across the bone. slope: (P, VERTICES) metres by which a vertex
    moves across when the light comes straight from that side. bone, label: (P,). rgb: (P, 3) in daylight,
    0..255.
    """

    base: np.ndarray
    slope: np.ndarray
    bone: np.ndarray
    label: np.ndarray
    rgb: np.ndarray


class Painter:
    """Collects parts in painting order; lengths in body heights."""

    def __init__(self, build: "Build"):
        self._build = build
        self._parts: list[tuple[np.ndarray, np.ndarray, int, int, np.ndarray]] = []

    def limb(
        self,
        bone: str,
        profile: tuple,
        colour: "Colour",
        *,
        shade: float = 1.0,
        stretch: float = 1.0,
        wider: float = 0.0,
        span: tuple[float, float] | None = None,
        bands: tuple = BANDS,
    ) -> None:
        """A lit limb, or the stretch of it within `span` (clothing: `wider` than what it covers)."""
        rows = np.array(profile, dtype=float)
        levels = VERTICES // 2
        along = np.interp(np.linspace(0, 1, levels), np.linspace(0, 1, len(rows)), rows[:, 0])
        if span is not None:
            along = np.linspace(span[0], span[1], levels)
        front, back = (np.interp(along, rows[:, 0], rows[:, k]) * self._build.girth + wider for k in (1, 2))
        middle, half = (front - back) / 2, (front + back) / 2
        for wander, width, light in bands:
            across = np.concatenate([middle + width * half, (middle - width * half)[::-1]])
            slope = np.concatenate([wander * half, wander * half[::-1]])
            points = np.stack([np.concatenate([along, along[::-1]]) * stretch, across], axis=-1)
            self._add(points, slope, bone, BODY, np.array(colour) * light * shade)

    def patch(self, bone: str, outline: tuple, colour: "Colour", *, shade: float = 1.0, label: int = BODY) -> None:
        """A flat part."""
        points = np.array(outline, dtype=float)
        points = np.concatenate([points, np.repeat(points[-1:], VERTICES - len(points), axis=0)])
        self._add(points, np.zeros(VERTICES), bone, label, np.array(colour) * shade)

    def figure(self) -> Figure:
        base, slope, bone, label, rgb = (np.array(column) for column in zip(*self._parts, strict=True))
        scale = self._build.height_m
        return Figure(base * scale, slope * scale, bone, label.astype(np.uint8), np.clip(rgb, 0, 255))

    def _add(self, points: np.ndarray, slope: np.ndarray, bone: str, label: int, rgb: np.ndarray) -> None:
        self._parts.append((points, slope, BONE[bone], label, rgb))


def figure(actor: "Actor") -> Figure:
    """The parts of an actor: far arm, far leg, hips, near leg, trunk, head, near arm."""
    painter, look = Painter(actor.build), actor.look
    _arm(painter, "far", look, actor.build, FAR_SIDE)
    _leg(painter, "far", look, actor.build, FAR_SIDE)
    painter.limb("pelvis", shapes.PELVIS_SHAPE, look.bottom, wider=0.004)
    _leg(painter, "near", look, actor.build, 1.0)
    _trunk(painter, look)
    _head(painter, look)
    _arm(painter, "near", look, actor.build, 1.0)
    return painter.figure()


def _arm(painter: Painter, side: str, look: "Look", build: "Build", shade: float) -> None:
    covered = look.top_kind in ("long", "jacket")
    loose = 0.007 if look.top_kind == "jacket" else 0.002
    sleeve = look.top_accent if look.pattern == "side" and covered else look.top
    upper, lower, length = f"{side}_upper_arm", f"{side}_forearm", build.arm
    wider = loose if covered else 0.0
    lower_rgb, upper_rgb = (sleeve, look.top) if covered else (look.skin, look.skin)
    painter.limb(lower, shapes.FOREARM_SHAPE, lower_rgb, shade=shade, stretch=length, wider=wider)
    painter.limb(lower, shapes.HAND_SHAPE, look.skin, shade=shade, stretch=length, bands=BANDS[::2])
    painter.limb(upper, shapes.UPPER_ARM_SHAPE, upper_rgb, shade=shade, stretch=length, wider=wider)
    if look.top_kind == "shirt":
        painter.limb(
            f"{side}_upper_arm",
            shapes.UPPER_ARM_SHAPE,
            look.top,
            shade=shade,
            wider=0.007,
            span=(-0.024, 0.098),
        )
        painter.limb(
            f"{side}_upper_arm", shapes.UPPER_ARM_SHAPE, look.top_accent, shade=shade * 0.95, wider=0.0075,
            span=(0.088, 0.099), bands=BANDS[:2],
        )  # fmt: skip


def _leg(painter: Painter, side: str, look: "Look", build: "Build", shade: float) -> None:
    long = look.bottom_kind in ("leggings", "trousers")
    loose = 0.010 if look.bottom_kind == "trousers" else 0.0015
    thigh, shank = f"{side}_thigh", f"{side}_shank"
    skin = look.bottom if long else look.skin
    wider = loose if long else 0.0
    painter.limb(shank, shapes.SHANK_SHAPE, skin, shade=shade, stretch=build.leg, wider=wider)
    painter.limb(
        shank, shapes.SHANK_SHAPE, look.socks, shade=shade, stretch=build.leg, wider=0.0015,
        span=(SHANK * (1 - look.sock_share) if not long else 0.232, 0.258), bands=BANDS[:3],
    )  # fmt: skip
    _shoe(painter, side, look.shoes, shade)
    painter.limb(thigh, shapes.THIGH_SHAPE, skin, shade=shade, stretch=build.leg, wider=wider)
    if look.bottom_kind in ("shorts", "tights"):
        hem = THIGH * look.bottom_share
        wider = 0.0085 if look.bottom_kind == "shorts" else 0.002
        painter.limb(
            thigh,
            shapes.THIGH_SHAPE,
            look.bottom,
            shade=shade,
            stretch=build.leg,
            wider=wider,
            span=(-0.03, hem),
        )
        if look.bottom_kind == "shorts":
            painter.patch(
                thigh, ((0.0, -0.006), (0.0, 0.008), (hem, 0.010), (hem, -0.008)), look.bottom_accent,
                shade=shade * 0.85,
            )  # fmt: skip


def _shoe(painter: Painter, side: str, shoes: "Shoes", shade: float) -> None:
    label = NEAR_SHOE if side == "near" else FAR_SHOE
    foot, toe = f"{side}_foot", f"{side}_toe"
    thick = 0.046 * shoes.midsole_share
    top = ANKLE_UP - thick
    midsole = ((top, -0.050), (top, 0.080), (ANKLE_UP, 0.080), (ANKLE_UP, -0.044), (ANKLE_UP - 0.006, -0.054))
    outsole = ((ANKLE_UP - 0.005, -0.053), (ANKLE_UP - 0.004, 0.080), (ANKLE_UP, 0.080), (ANKLE_UP, -0.043))
    toe_top = -thick * 0.85
    toe_sole = ((toe_top, -0.006), (toe_top, 0.044), (-0.006, 0.052), (0.0, 0.044), (0.0, -0.006))
    toe_out = ((-0.004, -0.006), (-0.004, 0.051), (0.0, 0.044), (0.0, -0.006))
    lit = (*shapes.SHOE_UPPER[:7], (0.026, 0.06), (0.016, -0.03))
    painter.patch(foot, shapes.SHOE_UPPER, shoes.upper, shade=0.80 * shade, label=label)
    painter.patch(toe, shapes.SHOE_TOE, shoes.upper, shade=0.80 * shade, label=label)
    painter.patch(foot, lit, shoes.upper, shade=shade, label=label)
    painter.patch(foot, shapes.SHOE_STRIPE, shoes.accent, shade=shade, label=label)
    painter.patch(foot, shapes.SHOE_HEEL, shoes.accent, shade=0.85 * shade, label=label)
    painter.patch(foot, midsole, shoes.sole, shade=0.95 * shade, label=label)
    painter.patch(toe, toe_sole, shoes.sole, shade=0.95 * shade, label=label)
    painter.patch(foot, outsole, shoes.outsole, shade=0.75 * shade, label=label)
    painter.patch(toe, toe_out, shoes.outsole, shade=0.75 * shade, label=label)


def _trunk(painter: Painter, look: "Look") -> None:
    loose = {"singlet": 0.003, "shirt": 0.006, "long": 0.003, "jacket": 0.012}[look.top_kind]
    painter.limb("neck", shapes.NECK_SHAPE, look.skin, shade=0.85, bands=BANDS[:3])
    painter.limb("trunk", shapes.TRUNK_SHAPE, look.top, wider=loose)
    stripes = {
        "chest": ((0.075, 0.115),),
        "hoops": ((0.03, 0.065), (0.11, 0.145), (0.19, 0.225), (0.27, 0.305)),
    }
    for span in stripes.get(look.pattern, ()):
        painter.limb("trunk", shapes.TRUNK_SHAPE, look.top_accent, wider=loose, span=span)
    if look.pattern == "side":
        panel = (
            (0.06, -0.012),
            (0.06, 0.016),
            (0.17, 0.018),
            (0.312, 0.026),
            (0.312, -0.022),
            (0.17, -0.012),
        )
        painter.patch("trunk", panel, look.top_accent, shade=0.9)
    fold = ((0.20, 0.030), (0.235, -0.020), (0.243, -0.022), (0.21, 0.032))
    painter.patch("trunk", fold, look.top, shade=0.72)
    painter.patch("trunk", tuple((a + 0.05, c - 0.005) for a, c in fold), look.top, shade=0.75)


def _head(painter: Painter, look: "Look") -> None:
    if look.hair_kind == "ponytail":
        painter.limb("tail", shapes.TAIL_SHAPE, look.hair, bands=BANDS[:3])
    painter.patch("head", shapes.FACE, look.skin, shade=0.78)
    painter.patch("head", tuple((0.86 * a - 0.006, 0.84 * c + 0.008) for a, c in shapes.FACE), look.skin, shade=0.98)
    painter.patch("head", shapes.EYE, look.hair, shade=0.5)
    hair = shapes.LONG_HAIR if look.hair_kind == "long" else shapes.SHORT_HAIR
    painter.patch("head", hair, look.hair, shade=0.75)
    painter.patch("head", tuple((0.7 * a - 0.016, 0.72 * c) for a, c in shapes.SHORT_HAIR[:8]), look.hair, shade=1.25)
    painter.patch("head", shapes.EAR, look.skin, shade=0.88)
    if look.hair_kind == "cap":
        painter.patch("head", shapes.CAP_CROWN, look.cap, shade=0.8)
        painter.patch("head", tuple((0.8 * a - 0.013, 0.75 * c + 0.004) for a, c in shapes.CAP_CROWN), look.cap)
        painter.patch("head", shapes.CAP_BRIM, look.cap, shade=0.65)
