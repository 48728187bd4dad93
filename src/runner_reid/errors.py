"""The one exception a user is meant to read."""

from collections.abc import Sequence


class InputError(Exception):
    """Something given from outside cannot be used.

    The message is one line: what was given, what was expected, what to do.
    """


def check_choice(name: str, given: str, choices: Sequence[str]) -> None:
    """Raise InputError if `given` is none of `choices`. name: of the parameter, as it stands in params.yaml.

    >>> check_choice("persons.method", "eyes", ["yolov8", "background"])
    Traceback (most recent call last):
    runner_reid.errors.InputError: persons.method: got 'eyes', expected one of yolov8, background; correct it
    """
    if given not in choices:
        raise InputError(f"{name}: got {given!r}, expected one of {', '.join(choices)}; correct it")
