"""The one exception a user is meant to read."""


class InputError(Exception):
    """Something given from outside cannot be used.

    The message is one line: what was given, what was expected, what to do.
    """
