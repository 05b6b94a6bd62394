"""Errors that a user can mend."""


class InputError(ValueError):
    """Something the user gave cannot be used; the message is one sentence that says what to do.

    The command line prints the message and exits with code 2.
    """


class InputWarning(UserWarning):
    """Something the user gave was usable only in part; the message says what was lost or kept."""
