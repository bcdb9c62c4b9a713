"""The journal of a store that is being written: which of its chunks are on disk."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from genodl.errors import InputError
from genodl.io.chunks import JOURNAL


@contextmanager
def locked(journal: TextIO, target: Path) -> Iterator[None]:
    """Hold the journal alone, until it is closed."""
    try:
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise InputError(
            "another run is writing it", where=str(target), mend="wait for it to end"
        ) from None
    yield


def resume(partial: Path, journal: TextIO, request: dict) -> list[dict]:
    """The chunks of a former run that hold, the journal cut after them."""
    journal.seek(0)
    lines = journal.read().split("\n")[:-1]
    done: list[dict] = []
    if lines and _parsed(lines[0]) == request:
        for line in lines[1:]:
            entry = _parsed(line)
            if entry is None or not _holds(partial, entry):
                break
            done.append(entry)
    if not done:
        _clear(partial)
    journal.seek(0)
    journal.truncate()
    note(journal, request, *done)
    return done


def _clear(partial: Path) -> None:
    """Remove what another request left, all but the journal."""
    for entry in partial.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != JOURNAL:
            entry.unlink()


def _parsed(line: str) -> dict | None:
    """A line of the journal, None where it was torn."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _holds(partial: Path, entry: dict) -> bool:
    """Whether the files of a journal entry are whole."""
    return all(
        (partial / name).is_file()
        and hashlib.sha256((partial / name).read_bytes()).hexdigest() == digest
        for name, digest in entry["sha256"].items()
    )


def note(journal: TextIO, *entries: dict) -> None:
    """Add lines to the journal, on disk when it returns."""
    journal.writelines(json.dumps(e, sort_keys=True) + "\n" for e in entries)
    journal.flush()
    os.fsync(journal.fileno())
