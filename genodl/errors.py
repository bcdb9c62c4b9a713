"""The one error a user can mend."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """A fault in what the user gave us: what is wrong, where, and how to mend it.

    Parameters
    ----------
    what : what was found against what was expected
    where : file, row, sample, column or option
    mend : what the user can do about it
    """

    def __init__(self, what: str, *, where: str, mend: str):
        line = " ".join(f"{where}: {what}; {mend}".split())
        super().__init__(line)


def nearest(name: str, known: Iterable[str], *, most: int = 3) -> str:
    """The known names closest to a misspelt one, for an error line."""
    names = [str(k) for k in known]
    lower = {k.lower(): k for k in names}
    close = get_close_matches(name.lower(), list(lower), n=most, cutoff=0.5)
    chosen = [lower[c] for c in close] or names[:most]
    return ", ".join(repr(c) for c in chosen) if chosen else "none"
