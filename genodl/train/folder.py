"""Arrays and what is said of them in a folder: atomic, by orbax, refused when damaged."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from genodl.errors import InputError

FORMAT = 1
ARRAYS, MANIFEST = "arrays", "ensemble.json"


def write(
    folder: str | os.PathLike[str], arrays: dict[str, np.ndarray], content: dict[str, Any]
) -> None:
    """Write arrays and what is said of them to a folder, which is replaced only when complete."""
    target = Path(folder).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        with _alone() as writer:
            writer.save(work / "new" / ARRAYS, arrays)
        manifest = _manifest(content, arrays, files=_files(work / "new" / ARRAYS))
        (work / "new" / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        _replace(work / "new", target, aside=work / "old")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def read(folder: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `write` was given: what is said of the arrays, and the arrays.

    Raises
    ------
    InputError : the folder holds no checkpoint, or one that is damaged or of another version
    """
    manifest = read_manifest(Path(folder).absolute())
    if _files(Path(folder).absolute() / ARRAYS) != manifest["files"]:
        raise _damaged(folder, "its files are not those that were saved")
    try:
        with _alone() as reader:
            arrays = reader.restore(
                Path(folder).absolute() / ARRAYS,
                {
                    name: np.empty(each["shape"], each["dtype"])
                    for name, each in manifest["arrays"].items()
                },
            )
    except Exception as fault:  # orbax and its storage raise errors of many kinds
        raise _damaged(folder, "its arrays cannot be read") from fault
    return manifest, {name: np.asarray(array) for name, array in arrays.items()}


def kept(folder: Path, key: str) -> dict[str, np.ndarray] | None:
    """The arrays that a run of this key has left in a folder; None where none has.

    Raises
    ------
    InputError : they are damaged, or of a run of another key, see `digest`
    """
    if not folder.exists():
        return None
    content, arrays = read(folder)
    if content.get("key") != key:
        raise InputError(
            "the state is of other data or another configuration",
            where=str(folder),
            mend="go on with what it was begun with, or name another folder",
        )
    return arrays


def digest(parts: Iterable[np.ndarray | str]) -> str:
    """SHA-256 of arrays, their shapes and kinds, and of texts."""
    told = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            told.update(f"{part.shape}{part.dtype.str}".encode())
            # columns that lie one after another are told as they lie
            whole = np.ascontiguousarray(part.T if part.flags.f_contiguous else part)
            told.update(whole.data)
        else:
            told.update(part.encode())
    return told.hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a checkpoint, its checksum and version seen to."""
    if not (folder / MANIFEST).is_file():
        raise InputError(
            f"no {MANIFEST} there",
            where=str(folder),
            mend="name a folder that genodl saved a model to",
        )
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        intact = manifest.pop("sha256") == _checksum(manifest)
    except (ValueError, AttributeError, KeyError, TypeError) as fault:
        raise _damaged(folder, f"{MANIFEST} cannot be read") from fault
    if not intact:
        raise _damaged(folder, f"{MANIFEST} has another checksum")
    if manifest["format"] != FORMAT:
        raise InputError(
            f"the checkpoint has format {manifest['format']}, this version reads {FORMAT}",
            where=str(folder),
            mend="train again with this version",
        )
    found: dict[str, Any] = manifest
    return found


def _alone() -> ocp.StandardCheckpointer:
    """A checkpointer of this process, which waits for no other one."""
    mine = jax.process_index()
    options = ocp.options.MultiprocessingOptions(
        primary_host=mine, active_processes={mine}, barrier_sync_key_prefix=f"process{mine}"
    )
    return ocp.StandardCheckpointer(multiprocessing_options=options)


def _manifest(
    content: dict[str, Any], arrays: dict[str, np.ndarray], *, files: dict[str, str]
) -> dict[str, Any]:
    """What is said of the arrays, and what is needed to read them and to see damage."""
    whole = {
        "format": FORMAT,
        "arrays": {name: {"shape": a.shape, "dtype": a.dtype.str} for name, a in arrays.items()},
        "files": files,
        **content,
    }
    return json.loads(json.dumps(whole)) | {"sha256": _checksum(whole)}


def _replace(new: Path, target: Path, *, aside: Path) -> None:
    """Put the complete folder in the place of an earlier one."""
    for path in sorted(p for p in new.rglob("*") if p.is_file()):
        with path.open("rb") as written:
            os.fsync(written.fileno())
    if target.exists():
        os.rename(target, aside)
    os.rename(new, target)


def _files(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder by its relative name."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _checksum(content: dict[str, Any]) -> str:
    """SHA-256 of a manifest."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _damaged(folder: str | os.PathLike[str], what: str) -> InputError:
    """The one error for every kind of damage."""
    return InputError(
        f"the checkpoint is damaged: {what}",
        where=str(folder),
        mend="restore it from a copy or train again",
    )
