"""The shape of every NPZ file, and the only code that reads or writes one."""

import os
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np

from runner_reid.errors import InputError
from runner_reid.files import atomic_path

_DAMAGE = (OSError, EOFError, ValueError, TypeError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged NPZ file can raise."""


@dataclass(frozen=True)
class Arrays:
    """The shape of one kind of NPZ file: per array its dtype kind and its axes ("N" = one per scene)."""

    name: str
    meaning: str
    arrays: dict[str, tuple[str, tuple[str, ...]]]

    def check(self, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return `given` if it has this shape; raise InputError that says expected and got if not."""
        sizes: dict[str, int] = {}
        if set(given) != set(self.arrays):
            raise InputError(f"arrays {self.name}: expected {sorted(self.arrays)}, got {sorted(given)}")
        for name, (kind, axes) in self.arrays.items():
            array = given[name]
            fits = array.dtype.kind == kind and array.ndim == len(axes)
            fits = fits and all(sizes.setdefault(axis, n) == n for axis, n in zip(axes, array.shape, strict=True))
            if not fits:
                raise InputError(
                    f"arrays {self.name}: expected {name} of kind {kind} with axes {axes}, "
                    f"got {array.dtype} {array.shape}"
                )
        return given

    def read(
        self, path: str | os.PathLike, *, scene: np.ndarray | None = None, video: str | None = None
    ) -> dict[str, np.ndarray]:
        """All arrays of the file. Raises InputError if the file does not have this shape.

        scene: the scenes (N,) its rows must stand for, if the caller goes by row. video: whose it must be, if the kind
        says that.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                found = self.check(dict(file))
        except _DAMAGE as error:
            raise InputError(f"{path}: expected an NPZ file {self.name} ({error}); delete it and run again") from error
        except InputError as error:
            raise InputError(f"{path}: {error}; delete it and run again") from error
        if video is not None and str(found["video"]) != video:
            raise InputError(
                f"{path}: is of video {str(found['video'])!r}; expected {video!r}; delete it and run again"
            )
        if scene is not None and not np.array_equal(found["scene"], scene):
            only = np.setxor1d(found["scene"], scene)
            raise InputError(
                f"{path}: its {len(found['scene'])} scenes are not those of the table of scenes, which has "
                f"{len(scene)} ({f'scene {only[0]} is in one only' if len(only) else 'in another order'}); delete it "
                "and run again"
            )
        return found

    def write(self, path: str | os.PathLike, **arrays: np.ndarray) -> None:
        """Write the arrays, checked, atomically. The same arrays give the same bytes."""
        with atomic_path(path) as temporary:
            np.savez_compressed(temporary, allow_pickle=False, **self.check(arrays))


FEATURES = Arrays(
    "features",
    "one feature per scene; a row of NaN where nothing could be measured (no clear shoe)",
    {"scene": ("i", ("N",)), "feature": ("f", ("N", "D"))},
)
SIMILARITY = Arrays(
    "similarity",
    "how alike two scenes of a video are; NaN where a feature is missing",
    {"video": ("U", ()), "scene": ("i", ("N",)), "similarity": ("f", ("N", "N"))},
)
RANKING = Arrays(
    "ranking",
    "the similarity of a system, and which pairs may be the same runner at all; the lap rule's seconds, and from which"
    " gap on scenes recur (NaN where the sheet states the rule, or nothing shows)",
    {
        "scene": ("i", ("N",)),
        "similarity": ("f", ("N", "N")),
        "allowed": ("b", ("N", "N")),
        "min_lap_s": ("f", ()),
        "recurrence_s": ("f", ()),
    },
)

ARRAYS = {value.name: value for value in list(globals().values()) if isinstance(value, Arrays)}
