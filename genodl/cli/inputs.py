"""Options that name files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genodl.errors import InputError


def named_paths(pairs: Sequence[str]) -> dict[str, Path]:
    """NAME=PATH options as a dict."""
    found: dict[str, Path] = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not (name and equals and path):
            raise InputError(
                f"found {pair!r}, expected NAME=PATH",
                where="--features",
                mend="write for instance --features alterations=cna.h5ad",
            )
        if name in found:
            raise InputError(f"{name!r} is given twice", where="--features", mend="rename one")
        found[name] = Path(path)
    return found
