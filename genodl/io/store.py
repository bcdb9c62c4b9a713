"""Writing a store: resumable, atomic, in memory bounded by one chunk.

Chunks go to `OUT.partial` beside the store, each synced to disk before the journal names it. When
the last is there the metadata follow, and one rename makes the store. A run that was killed leaves
journal and chunks behind; the next run of the same request keeps those whose SHA-256 still holds.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from genodl.errors import InputError
from genodl.io import chunks
from genodl.io.formats import Paths, open_variants, wanted_samples
from genodl.io.source import COLUMNS, Field
from genodl.io.variants import iter_variants

LARGEST_CHUNK = 1 << 26
MOST_ALLELES = 4096


def ingest(
    src: Paths,
    out: str | PathLike[str],
    *,
    region: str | Sequence[str] | None = None,
    samples: Sequence[str] | str | PathLike[str] | None = None,
    field: Field = "GT",
    verify: bool = False,
) -> Path:
    """The path of an AnnData-Zarr store holding what `read_variants` reads from `src`.

    Killed at any moment, it leaves no store behind, or the former one; run again, it resumes and
    ends with the same bytes. A store of the same request and unchanged sources is left alone.

    Parameters
    ----------
    src, region, samples, field : as for `read_variants`
    out : the store, a folder named .zarr; a former store there is replaced once this one is whole
    verify : check every chunk of the finished store against its SHA-256

    Raises
    ------
    InputError : a fault in the source, `out` is something else than a store, the disk is full,
        another run is writing the same store, or a chunk fails the check
    """
    target = Path(out)
    request = _request(src, region, samples, field)
    _check_target(target)
    former = chunks.read_manifest(target)
    if former is None or former["request"] != request:
        with _disk_faults(target):
            _write(src, target, request, region, samples, field)
    if verify:
        check_store(target)
    return target


def check_store(path: str | PathLike[str]) -> int:
    """The number of chunks of a store, each checked against its SHA-256.

    Raises
    ------
    InputError : not a store, or a chunk is missing or changed
    """
    target = Path(path)
    manifest = chunks.read_manifest(target)
    if manifest is None:
        raise InputError("not a genodl store", where=str(target), mend="write it with ingest")
    for name in manifest["sha256"]:
        chunks.read_chunk(target, name, manifest)
    return len(manifest["sha256"])


def _paths(src: Paths) -> list[str | PathLike[str]]:
    """The files given."""
    return [src] if isinstance(src, str | PathLike) else list(src)


def _request(src: Paths, region: Any, samples: Any, field: Field) -> dict[str, Any]:
    """What is asked, in terms that tell one request from another."""
    sources = [open_variants(p) for p in _paths(src)]
    names = wanted_samples(sources[0], samples)
    files = [
        {"name": s.path.name, "size": s.path.stat().st_size, "modified": s.path.stat().st_mtime_ns}
        for s in sources
    ]
    return {
        "version": chunks.VERSION,
        "sources": files,
        "region": [region] if isinstance(region, str) else None if region is None else [*region],
        "samples": hashlib.sha256("\n".join(names).encode()).hexdigest(),
        "field": field,
    }


def _check_target(target: Path) -> None:
    """Refuse to write where something else than a store stands."""
    if target.suffix != ".zarr":
        raise InputError("a store is named .zarr", where=str(target), mend=f"use {target}.zarr")
    if target.exists() and chunks.read_manifest(target) is None:
        raise InputError(
            "exists and is no genodl store", where=str(target), mend="choose another name"
        )
    if not target.absolute().parent.is_dir():
        raise InputError("its folder does not exist", where=str(target), mend="make the folder")


@contextmanager
def _disk_faults(target: Path) -> Iterator[None]:
    """A full or read-only disk as one line."""
    try:
        yield
    except OSError as fault:
        known = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG)
        if fault.errno not in known:
            raise
        raise InputError(
            f"cannot be written: {(fault.strerror or '').lower()}",
            where=str(target),
            mend="make room and run the same command again: it resumes",
        ) from None


def _write(
    src: Paths, target: Path, request: dict[str, Any], region: Any, samples: Any, field: Field
) -> None:
    """Write or complete `target.partial`, then rename it."""
    partial = target.with_name(target.name + ".partial")
    partial.mkdir(exist_ok=True)
    with open(partial / chunks.JOURNAL, "a+", errors="replace") as journal:
        _lock(journal, target)
        done = _resume(partial, journal, request)
        names = wanted_samples(open_variants(_paths(src)[0]), samples)
        chunk = max(1, min(MOST_ALLELES, LARGEST_CHUNK // len(names)))
        blocks = iter_variants(src, region=region, samples=samples, field=field, block=chunk)
        # compression off the main thread is Blosc's single-threaded mode, whose bytes are stable
        with ThreadPoolExecutor(1) as pool:
            waiting = None
            for k, block in enumerate(blocks):
                if waiting is not None:
                    waiting.result()
                if k >= len(done):
                    waiting = pool.submit(_add, partial, journal, done, k, block, chunk, field)
            if waiting is not None:
                waiting.result()
        _finish(partial, names, done, chunk, field, request)
    _replace(partial, target)


def _lock(journal: TextIO, target: Path) -> None:
    """Hold the journal alone, until it is closed."""
    try:
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise InputError(
            "another run is writing it", where=str(target), mend="wait for it to end"
        ) from None


def _resume(partial: Path, journal: TextIO, request: dict) -> list[dict]:
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
    _note(journal, request, *done)
    return done


def _clear(partial: Path) -> None:
    """Remove what another request left, all but the journal."""
    for entry in partial.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != chunks.JOURNAL:
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


def _note(journal: TextIO, *entries: dict) -> None:
    """Add lines to the journal, on disk when it returns."""
    journal.writelines(json.dumps(e, sort_keys=True) + "\n" for e in entries)
    journal.flush()
    os.fsync(journal.fileno())


def _add(
    partial: Path, journal: TextIO, done: list[dict], k: int, block: Any, chunk: int, field: Field
) -> None:
    """Write one block's chunks, then name them in the journal."""
    columns = {"X": block.X.T, "_index": block.var_names.to_numpy()}
    columns |= {c: block.var[c].to_numpy() for c in COLUMNS}
    digests = {}
    for column, values in columns.items():
        name = chunks.chunk_name(column, k)
        digests[name] = _save(partial / name, chunks.encode(column, values, chunk, field))
    contigs = list(dict.fromkeys(block.var["contig"]))
    done.append({"alleles": block.n_vars, "contigs": contigs, "sha256": digests})
    _note(journal, done[-1])


def _save(path: Path, raw: bytes) -> str:
    """Write a file to disk and return its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(raw).hexdigest()


def _finish(
    partial: Path,
    names: Sequence[str],
    done: list[dict],
    chunk: int,
    field: Field,
    request: dict,
) -> None:
    """Write the sample ids and the metadata of AnnData and Zarr."""
    alleles = sum(d["alleles"] for d in done)
    ids = chunks.encode("_index", np.array(names, object), len(names), field)
    digests = {"obs/_index/0": _save(partial / "obs/_index/0", ids)}
    for entry in done:
        digests |= entry["sha256"]
    manifest = {
        "version": chunks.VERSION,
        "request": request,
        "field": field,
        "samples": len(names),
        "alleles": alleles,
        "chunk": chunk,
        "contigs": list(dict.fromkeys(c for d in done for c in d["contigs"])),
        "sha256": digests,
    }
    for path, text in chunks.metadata(manifest).items():
        _save(partial / path, json.dumps(text, indent=1, sort_keys=True).encode())


def _replace(partial: Path, target: Path) -> None:
    """Make the whole partial folder the store."""
    (partial / chunks.JOURNAL).unlink()
    _sync_folder(partial)
    former = target.with_name(target.name + ".former")
    if former.exists():
        shutil.rmtree(former)
    if target.exists():
        os.rename(target, former)
    os.rename(partial, target)
    _sync_folder(target.absolute().parent)
    shutil.rmtree(former, ignore_errors=True)


def _sync_folder(path: Path) -> None:
    """The folder's entries on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
