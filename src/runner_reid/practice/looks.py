"""What people wear: colours are RGB, 0..255, as in daylight."""

import colorsys
from dataclasses import dataclass, replace

import numpy as np

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Shoes:
    """name: of the model; who wears the same model shares it."""

    name: str
    upper: Colour
    sole: Colour
    outsole: Colour
    accent: Colour
    midsole_share: float


@dataclass(frozen=True)
class Look:
    """clothes: name of the clothing, shared by who is dressed alike.

    top_kind: `singlet`, `shirt`, `long` or `jacket`. pattern: `plain`, `chest`, `side` or `hoops`.
    bottom_kind: `shorts`, `tights`, `leggings` or `trousers`. bottom_share: share of the thigh that shorts
    cover. sock_share: share of the shank that socks cover. hair_kind: `short`, `ponytail`, `long` or `cap`.
    """

    clothes: str
    top: Colour
    top_accent: Colour
    top_kind: str
    pattern: str
    bottom: Colour
    bottom_accent: Colour
    bottom_kind: str
    bottom_share: float
    socks: Colour
    sock_share: float
    skin: Colour
    hair: Colour
    hair_kind: str
    cap: Colour
    shoes: Shoes


BRIGHT_HSV = (
    (0.0, 0.85, 0.82), (0.055, 0.90, 0.95), (0.13, 0.85, 0.95), (0.19, 0.80, 0.92), (0.36, 0.75, 0.60),
    (0.48, 0.75, 0.70), (0.55, 0.70, 0.88), (0.61, 0.82, 0.72), (0.76, 0.60, 0.65), (0.91, 0.70, 0.88),
    (0.0, 0.02, 0.93), (0.62, 0.55, 0.32), (0.0, 0.03, 0.16), (0.0, 0.03, 0.55),
)  # fmt: skip
"""Hue, saturation, value of running shirts and shoes: reds to pinks, then white, navy, black, grey."""
DARK_HSV = (
    (0.0, 0.03, 0.13),
    (0.62, 0.5, 0.26),
    (0.0, 0.03, 0.36),
    (0.61, 0.7, 0.5),
    (0.0, 0.7, 0.5),
    (0.36, 0.5, 0.3),
)
SKIN_RGB = ((240, 202, 176), (226, 182, 150), (205, 158, 122), (164, 114, 80), (120, 80, 56), (88, 58, 42))
KIT_SHARE = 0.75
"""How many of the runners wear a kit of their club."""
HAIR_RGB = (
    (34, 26, 22),
    (62, 42, 30),
    (96, 66, 42),
    (150, 110, 66),
    (196, 162, 104),
    (122, 60, 34),
    (120, 118, 116),
)


def _hsv(rng: np.random.Generator, hsv: tuple[float, float, float]) -> Colour:
    hue = (hsv[0] + rng.normal(0, 0.012)) % 1.0
    saturation, value = np.clip(np.array(hsv[1:]) + rng.normal(0, 0.045, 2), 0.0, 0.97)
    red, green, blue = colorsys.hsv_to_rgb(hue, float(saturation), float(value))
    return 255 * red, 255 * green, 255 * blue


def _pick(rng: np.random.Generator, palette: tuple) -> tuple:
    return palette[int(rng.integers(len(palette)))]


def _near(rng: np.random.Generator, rgb: tuple) -> Colour:
    red, green, blue = np.clip(np.array(rgb) + rng.normal(0, 5, 3), 10, 250)
    return float(red), float(green), float(blue)


def _shoes(rng: np.random.Generator, name: str) -> Shoes:
    dark_sole = rng.random() < 0.3
    return Shoes(
        name=name,
        upper=_hsv(rng, _pick(rng, BRIGHT_HSV)),
        sole=_hsv(rng, _pick(rng, BRIGHT_HSV)) if dark_sole else _hsv(rng, (0.1, 0.04, 0.92)),
        outsole=_hsv(rng, _pick(rng, BRIGHT_HSV)),
        accent=_hsv(rng, _pick(rng, BRIGHT_HSV)),
        midsole_share=float(rng.uniform(0.24, 0.42)),
    )


def _look(rng: np.random.Generator, clothes: str, shoes: str) -> Look:
    bottom_kind = str(rng.choice(["shorts", "shorts", "shorts", "tights", "leggings"]))
    return Look(
        clothes=clothes,
        top=_hsv(rng, _pick(rng, BRIGHT_HSV)),
        top_accent=_hsv(rng, _pick(rng, BRIGHT_HSV)),
        top_kind=str(rng.choice(["singlet", "singlet", "shirt", "shirt", "long"])),
        pattern=str(rng.choice(["plain", "plain", "chest", "side", "hoops"])),
        bottom=_hsv(rng, _pick(rng, DARK_HSV)),
        bottom_accent=_hsv(rng, _pick(rng, BRIGHT_HSV)),
        bottom_kind=bottom_kind,
        bottom_share=float(rng.uniform(0.72, 0.85) if bottom_kind == "tights" else rng.uniform(0.38, 0.62)),
        socks=_hsv(rng, _pick(rng, ((0.0, 0.02, 0.94), (0.0, 0.02, 0.12), (0.6, 0.6, 0.5)))),
        sock_share=float(rng.choice([0.16, 0.24, 0.34, 0.8], p=[0.4, 0.3, 0.2, 0.1])),
        skin=_near(rng, _pick(rng, SKIN_RGB)),
        hair=_near(rng, _pick(rng, HAIR_RGB)),
        hair_kind=str(rng.choice(["short", "short", "ponytail", "cap"])),
        cap=_hsv(rng, _pick(rng, BRIGHT_HSV)),
        shoes=_shoes(rng, shoes),
    )


def club_looks(rng: np.random.Generator, runners: int) -> list[Look]:
    """Looks of the runners: most wear the top of one of a few kits, over bottoms, socks and shoes of their own.

    Of every eight, the first two are dressed alike, the next two share the shoes.
    """
    looks = [_look(rng, f"clothes{n + 1:02d}", f"shoes{n + 1:02d}") for n in range(runners)]
    kits = [_look(rng, f"kit{n + 1}", "") for n in range(2 + runners // 8)]
    for n in range(runners):
        if rng.random() < KIT_SHARE:
            kit = kits[int(rng.integers(len(kits)))]
            looks[n] = replace(looks[n], top=kit.top, top_accent=kit.top_accent, pattern=kit.pattern)
    for n in range(1, runners):
        if n % 8 == 1:
            looks[n] = replace(looks[n - 1], shoes=looks[n].shoes, skin=_near(rng, looks[n - 1].skin))
        if n % 8 == 3:
            looks[n] = replace(looks[n], shoes=looks[n - 1].shoes)
    return looks


def walker_look(rng: np.random.Generator, number: int) -> Look:
    """Street clothes: jacket, trousers."""
    look = _look(rng, f"clothes_walker{number + 1}", f"shoes_walker{number + 1}")
    hair_kind = str(rng.choice(["short", "long", "cap"]))
    return replace(
        look, top_kind="jacket", pattern="plain", bottom_kind="trousers", hair_kind=hair_kind, sock_share=0.2
    )


def coach_look(rng: np.random.Generator, number: int) -> Look:
    """A tracksuit and a cap."""
    look = _look(rng, f"clothes_coach{number + 1}", f"shoes_coach{number + 1}")
    return replace(look, top_kind="jacket", pattern="chest", bottom_kind="trousers", hair_kind="cap", sock_share=0.2)


def sprinter_look(rng: np.random.Generator, number: int) -> Look:
    """A sprint suit."""
    look = _look(rng, f"clothes_sprinter{number + 1}", f"shoes_sprinter{number + 1}")
    return replace(
        look, top_kind="singlet", pattern="side", bottom=look.top, bottom_kind="tights", bottom_share=0.7,
        hair_kind="short", sock_share=0.16,
    )  # fmt: skip


def crosser_look(rng: np.random.Generator, number: int) -> Look:
    """A rugby jersey: hoops, baggy shorts, long socks."""
    look = _look(rng, f"clothes_crosser{number + 1}", f"shoes_crosser{number + 1}")
    return replace(
        look, top_kind="shirt", pattern="hoops", bottom_kind="shorts", bottom_share=0.68, hair_kind="short",
        socks=look.top_accent, sock_share=0.86,
    )  # fmt: skip
