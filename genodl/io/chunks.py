"""The store: AnnData on Zarr, chunked some thousand alleles x all samples.

Anyone opens it with `anndata.read_zarr`. genodl writes and reads its chunks itself: X lies allele
by allele (Fortran order), so a chunk is a block, and bit-shuffling turns int8 into the two bits a
call needs. The manifest, the attribute `genodl` of the root group, holds the SHA-256 of every
chunk; each is checked as it is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData, read_h5ad, read_zarr
from numcodecs import Blosc, VLenUTF8, Zstd

from genodl.errors import InputError
from genodl.io.source import (
    COLUMNS,
    Block,
    Field,
    Region,
    Source,
    check_samples,
    overlapping,
    unknown_contig,
)
from genodl.values import MISSING

VERSION = 1
JOURNAL = "journal.jsonl"
TEXT = Zstd(level=3)
NUMBERS = Zstd(level=3)
DOSAGE = {
    "GT": Blosc(cname="zstd", clevel=3, shuffle=Blosc.BITSHUFFLE),
    "DS": Blosc(cname="zstd", clevel=3, shuffle=Blosc.SHUFFLE),
}
DTYPE: dict[str, Any] = {"GT": np.dtype("int8"), "DS": np.dtype("<f4")}
NUMERIC: dict[str, Any] = {"pos": np.dtype("<i8"), "qual": np.dtype("<f4")}


def chunk_name(column: str, k: int) -> str:
    """The file of chunk k of X or of a column of var."""
    return f"X/0.{k}" if column == "X" else f"var/{column}/{k}"


def encode(column: str, values: Any, chunk: int, field: str) -> bytes:
    """A chunk's bytes; a short last one is filled up, as Zarr wants it."""
    if column == "X":
        whole = np.full((chunk, values.shape[1]), fill_value("X", field), DTYPE[field])
        whole[: len(values)] = values
        return bytes(DOSAGE[field].encode(whole))
    if column in NUMERIC:
        numbers = np.full(chunk, fill_value(column, field), NUMERIC[column])
        numbers[: len(values)] = values
        return bytes(NUMBERS.encode(numbers))
    words = np.full(chunk, "", object)
    words[: len(values)] = values
    return bytes(TEXT.encode(VLenUTF8().encode(words)))


def fill_value(column: str, field: str) -> Any:
    """What stands where a chunk has no value."""
    if column == "X":
        return MISSING if field == "GT" else np.nan
    return {"pos": 0, "qual": np.nan}.get(column, "")


def metadata(manifest: dict[str, Any]) -> dict[str, Any]:
    """path -> JSON of every Zarr metadata file, as anndata's on-disk format 0.1 wants them."""
    alleles, chunk, samples = manifest["alleles"], manifest["chunk"], manifest["samples"]
    root = {"encoding-type": "anndata", "encoding-version": "0.1.0", "genodl": manifest}
    table = {"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"}
    found = _group("", root)
    found |= _group("obs/", {**table, "column-order": []})
    found |= _group("var/", {**table, "column-order": list(COLUMNS)})
    for name in ("layers", "obsm", "obsp", "uns", "varm", "varp"):
        found |= _group(f"{name}/", {"encoding-type": "dict", "encoding-version": "0.1.0"})
    field = manifest["field"]
    found |= _array("X", field, (samples, alleles), (samples, chunk))
    found |= _array("obs/_index", field, (samples,), (samples,))
    for column in ("_index", *COLUMNS):
        found |= _array(f"var/{column}", field, (alleles,), (chunk,))
    return found


def _group(prefix: str, attributes: dict) -> dict[str, Any]:
    """The metadata of a Zarr group."""
    return {f"{prefix}.zgroup": {"zarr_format": 2}, f"{prefix}.zattrs": attributes}


def _array(path: str, field: str, shape: tuple, chunks: tuple) -> dict[str, Any]:
    """The metadata of a Zarr array."""
    column = path.rpartition("/")[2]
    text = column != "X" and column not in NUMERIC
    fill = fill_value(column, field)
    codec = DOSAGE[field] if column == "X" else TEXT if text else NUMBERS
    dtype = DTYPE[field] if column == "X" else NUMERIC.get(column)
    meta = {
        "zarr_format": 2,
        "shape": list(shape),
        "chunks": list(chunks),
        "dtype": "|O" if dtype is None else dtype.str,
        "compressor": codec.get_config(),
        "fill_value": "NaN" if fill != fill else fill,
        "filters": [{"id": "vlen-utf8"}] if text else None,
        "order": "F" if column == "X" else "C",
    }
    kind = ("string-array", "0.2.0") if text else ("array", "0.2.0")
    attributes = {"encoding-type": kind[0], "encoding-version": kind[1]}
    return {f"{path}/.zarray": meta, f"{path}/.zattrs": attributes}


def open_store(path: Path) -> Source:
    """A store, or any .zarr or .h5ad of variants that genodl wrote, as a source."""
    if (path / JOURNAL).exists():
        raise InputError(
            "a half-written store", where=str(path), mend="run the same genodl ingest again"
        )
    manifest = read_manifest(path)
    return _open_any(path) if manifest is None else _open_chunks(path, manifest)


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of a store, None for another kind of file."""
    try:
        found = json.loads((path / ".zattrs").read_bytes()).get("genodl")
    except (OSError, ValueError, AttributeError):
        return None
    if found is not None and found.get("version") != VERSION:
        raise InputError(
            f"a store of version {found.get('version')}, this genodl reads {VERSION}",
            where=str(path),
            mend="ingest the source again",
        )
    return found


def read_chunk(path: Path, name: str, manifest: dict[str, Any]) -> bytes:
    """A chunk's bytes, refused when they are not those that were written."""
    try:
        raw = (path / name).read_bytes()
    except OSError:
        raw = b""
    if hashlib.sha256(raw).hexdigest() != manifest["sha256"].get(name):
        raise InputError(
            f"chunk {name} is missing or changed",
            where=str(path),
            mend="ingest the source again",
        )
    return raw


def _open_chunks(path: Path, manifest: dict[str, Any]) -> Source:
    """A store written by `ingest`."""
    samples = _words(path, "obs/_index/0", manifest, count=manifest["samples"])
    contigs = tuple(manifest["contigs"])

    def blocks(
        columns: np.ndarray | None, regions: tuple[Region, ...] | None, field: Field
    ) -> Iterator[Block]:
        _check_field(path, manifest["field"], field)
        for region in regions or ():
            if region.contig not in contigs:
                raise unknown_contig(path, region.contig, contigs)
        return _chunks(path, manifest, columns, regions)

    return Source(path, check_samples(path, samples), contigs, blocks)


def _check_field(path: Path, held: str, asked: Field) -> None:
    """Refuse a field other than the one the store holds."""
    if held != asked:
        raise InputError(
            f"holds {held}, {asked} was asked for", where=str(path), mend=f"read field {held}"
        )


def _words(path: Path, name: str, manifest: dict[str, Any], *, count: int) -> list[str]:
    """The first `count` texts of a chunk."""
    return VLenUTF8().decode(TEXT.decode(read_chunk(path, name, manifest))).tolist()[:count]


def _chunks(
    path: Path,
    manifest: dict[str, Any],
    columns: np.ndarray | None,
    regions: tuple[Region, ...] | None,
) -> Iterator[Block]:
    """The chunks as blocks."""
    chunk, field = manifest["chunk"], manifest["field"]
    for k in range(-(-manifest["alleles"] // chunk)):
        size = min(chunk, manifest["alleles"] - k * chunk)
        variants = {c: _column(path, c, k, size, manifest) for c in COLUMNS}
        keep = _kept(variants, regions)
        if keep is not None and not len(keep):
            continue
        raw = DOSAGE[field].decode(read_chunk(path, chunk_name("X", k), manifest))
        dosage = np.frombuffer(raw, DTYPE[field]).reshape(chunk, -1)[:size]
        if keep is not None:
            variants = {
                c: v[keep] if isinstance(v, np.ndarray) else [v[i] for i in keep]
                for c, v in variants.items()
            }
            dosage = dosage[keep]
        yield Block(variants, dosage if columns is None else dosage[:, columns])


def _column(path: Path, column: str, k: int, size: int, manifest: dict[str, Any]) -> Any:
    """Chunk k of a column of var."""
    name = chunk_name(column, k)
    if column in NUMERIC:
        raw = NUMBERS.decode(read_chunk(path, name, manifest))
        return np.frombuffer(raw, NUMERIC[column])[:size]
    return _words(path, name, manifest, count=size)


def _kept(variants: dict[str, Any], regions: tuple[Region, ...] | None) -> np.ndarray | None:
    """The alleles inside the regions, None for all."""
    if regions is None:
        return None
    pos = np.asarray(variants["pos"], np.int64)
    length = np.array([max(len(r), 1) for r in variants["ref"]], np.int64)
    return np.flatnonzero(overlapping(regions, variants["contig"], pos, pos + length - 1))


def _open_any(path: Path) -> Source:
    """An AnnData file whose X and var are as `read_variants` returns them."""
    whole = _read_anndata(path)
    variants = {c: whole.var[c].to_numpy() for c in COLUMNS}
    contigs = tuple(dict.fromkeys(str(c) for c in variants["contig"]))
    held = "GT" if whole.X.dtype == np.int8 else "DS"

    def blocks(
        columns: np.ndarray | None, regions: tuple[Region, ...] | None, field: Field
    ) -> Iterator[Block]:
        _check_field(path, held, field)
        for region in regions or ():
            if region.contig not in contigs:
                raise unknown_contig(path, region.contig, contigs)
        keep = _kept(variants, regions)
        rows = np.arange(whole.n_vars) if keep is None else keep
        dosage = np.asarray(whole.X).T[rows]
        yield Block(
            {c: v[rows] for c, v in variants.items()},
            dosage if columns is None else dosage[:, columns],
        )

    return Source(path, check_samples(path, [str(s) for s in whole.obs_names]), contigs, blocks)


def _read_anndata(path: Path) -> AnnData:
    """The whole file, refused when it is no AnnData of variants."""
    try:
        whole = read_h5ad(path) if path.suffix.lower() == ".h5ad" else read_zarr(path)
    except Exception as fault:
        raise InputError(
            f"not an AnnData file ({type(fault).__name__})",
            where=str(path),
            mend="write it with genodl ingest",
        ) from None
    absent = [c for c in COLUMNS[:4] if c not in whole.var]
    if absent:
        raise InputError(
            f"no variants: var has no column {', '.join(absent)}",
            where=str(path),
            mend="write it with genodl ingest, or read it as expression or features",
        )
    for name, default in (("id", "."), ("filter", "."), ("qual", np.nan)):
        if name not in whole.var:
            whole.var[name] = default
    if not isinstance(whole.X, np.ndarray) or whole.X.dtype not in (np.int8, np.float32):
        raise InputError(
            "X is neither int8 (ALT dosage) nor float32 (imputed dosage), dense",
            where=str(path),
            mend="write it with genodl ingest",
        )
    return whole
