"""What the processes that load data have to say."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sgmg.errors import InputError


@contextmanager
def worker_errors() -> Iterator[None]:
    """Raise an error that a user can mend as it was raised in a process that loads data.

    A `DataLoader` passes it on with the whole traceback of that process for its message, of which only the last
    sentence is for the user.
    """
    try:
        yield
    except (InputError, OSError) as error:
        name = type(error).__name__
        pattern = rf"\ACaught {name} in DataLoader worker process.*^(?:[\w.]+\.)?{name}: (.*?)\s*\Z"
        if match := re.search(pattern, str(error), re.DOTALL | re.MULTILINE):
            raise InputError(match[1]) from None
        raise
