"""Where a fault lies, once the file that was read is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from genodl.errors import InputError


@contextmanager
def placed(where: str, *, starts: tuple[str, ...] = ("",)) -> Iterator[None]:
    """Put a place before the faults that are raised inside and start with one of `starts`."""
    try:
        yield
    except InputError as fault:
        line = str(fault)
        if not line.startswith(starts):
            raise
        what, _, mend = line.rpartition("; ")
        raise InputError(what, where=where, mend=mend) from None
