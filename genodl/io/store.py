"""Writing a store: resumable, atomic, in memory bounded by one chunk.

Chunks go to `OUT.partial` beside the store, each synced to disk before the journal names it. When
the last is there the metadata follow, and one rename makes the store. A run that was killed leaves
journal and chunks behind; the next run of the same request keeps those whose SHA-256 still holds.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from genodl.errors import InputError
from genodl.io import bgzf, chunks
from genodl.io.formats import Paths, first_of, open_all, opened, stream, wanted_samples
from genodl.io.gather import joined, of_size, unique_names
from genodl.io.journal import locked, note, resume
from genodl.io.sift import EVERYTHING, Filters, report, sift
from genodl.io.source import Block, Field

LARGEST_CHUNK = 1 << 26
MOST_ALLELES = 4096


@dataclass(frozen=True, eq=False)
class Asked:
    """What `ingest` was asked for, as `read_variants` takes it."""

    src: Paths
    region: str | Sequence[str] | None
    samples: Sequence[str] | str | PathLike[str] | None
    field: Field
    filters: Filters
    info: tuple[str, ...]
    reference: str | PathLike[str] | None


def ingest(
    src: Paths,
    out: str | PathLike[str],
    *,
    region: str | Sequence[str] | None = None,
    samples: Sequence[str] | str | PathLike[str] | None = None,
    field: Field = "GT",
    filters: Filters = EVERYTHING,
    info: Sequence[str] = (),
    reference: str | PathLike[str] | None = None,
    verify: bool = False,
) -> Path:
    """The path of an AnnData-Zarr store holding what `read_variants` reads from `src`.

    Killed at any moment, it leaves no store behind, or the former one; run again, it resumes and
    ends with the same bytes. A store of the same request and unchanged sources is left alone.

    Parameters
    ----------
    src, region, samples, field, filters, info, reference : as for `read_variants`; what is left
        out is logged, and kept by reason in the manifest
    out : the store, a folder named .zarr; a former store there is replaced once this one is whole
    verify : check every chunk of the finished store against its SHA-256

    Raises
    ------
    InputError : a fault in the source, `out` is something else than a store, the disk is full,
        another run is writing the same store, or a chunk fails the check
    """
    target = Path(out)
    asked = Asked(src, region, samples, field, filters, tuple(info), reference)
    request = _request(asked)
    _check_target(target)
    former = chunks.read_manifest(target)
    if former is None or former["request"] != request:
        with _disk_faults(target):
            _write(asked, target, request)
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


def _request(asked: Asked) -> dict[str, Any]:
    """What is asked, in terms that tell one request from another."""
    sources = open_all(asked.src)
    names = wanted_samples(sources[0], asked.samples)
    region = asked.region
    return {
        "version": chunks.VERSION,
        "sources": [_stamp(s.path) for s in sources],
        "region": [region] if isinstance(region, str) else None if region is None else [*region],
        "samples": hashlib.sha256("\n".join(names).encode()).hexdigest(),
        "field": asked.field,
        "filters": asdict(asked.filters),
        "info": [*asked.info],
        "reference": None if asked.reference is None else _stamp(Path(asked.reference)),
    }


def _stamp(path: Path) -> dict[str, Any]:
    """What tells a file from a changed one."""
    try:
        found = path.stat()
    except OSError as fault:
        raise bgzf.cannot_open(path, fault) from None
    return {"name": path.name, "size": found.st_size, "modified": found.st_mtime_ns}


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


def _write(asked: Asked, target: Path, request: dict[str, Any]) -> None:
    """Write or complete `target.partial`, then rename it."""
    partial = target.with_name(target.name + ".partial")
    partial.mkdir(exist_ok=True)
    losses: Counter[str] = Counter()
    with (
        open(partial / chunks.JOURNAL, "a+", errors="replace") as journal,
        locked(journal, target),
        opened(asked.src, asked.reference, asked.field, losses) as sources,
    ):
        done = resume(partial, journal, request)
        names, blocks = stream(
            sources,
            region=asked.region,
            samples=asked.samples,
            field=asked.field,
            info=asked.info,
        )
        chunk = max(1, min(MOST_ALLELES, LARGEST_CHUNK // len(names)))
        groups = of_size(sift(blocks, asked.filters, losses), chunk)
        _add_all(partial, journal, done, groups, len(names), chunk, asked)
        _finish(partial, names, done, chunk, request, dict(losses))
    _replace(partial, target)
    report(first_of(asked.src), losses)


def _add_all(
    partial: Path,
    journal: TextIO,
    done: list[dict],
    groups: Iterator[list[Block]],
    samples: int,
    chunk: int,
    asked: Asked,
) -> None:
    """Write every chunk that is not there, each while the next is read."""
    name = unique_names()
    # compression off the main thread is Blosc's single-threaded mode, whose bytes are stable
    with ThreadPoolExecutor(1) as pool:
        waiting = None
        for k, group in enumerate(groups):
            block = joined(group, samples, asked.field, asked.info)
            names = name(block.variants)
            if waiting is not None:
                waiting.result()
            if k >= len(done):
                columns = {"X": block.dosage, "_index": names, **block.variants}
                waiting = pool.submit(_add, partial, journal, done, k, columns, chunk, asked.field)
        if waiting is not None:
            waiting.result()


def _add(
    partial: Path,
    journal: TextIO,
    done: list[dict],
    k: int,
    columns: dict[str, Any],
    chunk: int,
    field: Field,
) -> None:
    """Write one block's chunks, then name them in the journal."""
    digests = {}
    for column, values in columns.items():
        name = chunks.chunk_name(column, k)
        digests[name] = _save(partial / name, chunks.encode(column, values, chunk, field))
    contigs = list(dict.fromkeys(columns["contig"]))
    done.append({"alleles": len(columns["X"]), "contigs": contigs, "sha256": digests})
    note(journal, done[-1])


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
    request: dict,
    losses: dict[str, int],
) -> None:
    """Write the sample ids and the metadata of AnnData and Zarr."""
    alleles = sum(d["alleles"] for d in done)
    field = request["field"]
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
        "losses": losses,
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
