"""Blocks of a file cut and joined to the size wanted, and their alleles told apart by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from genodl.io.source import COLUMNS, Block, Field

DTYPES = {
    "pos": np.int64,
    "qual": np.float32,
    "ploidy": np.int8,
    "call_rate": np.float32,
}


def of_size(blocks: Iterable[Block], size: int) -> Iterator[list[Block]]:
    """The blocks cut and grouped so that each group holds `size` alleles, the last fewer."""
    group: list[Block] = []
    room = size
    for whole in blocks:
        start = 0
        while start < len(whole.dosage):
            part = _cut(whole, start, start + room)
            group.append(part)
            start += len(part.dosage)
            room -= len(part.dosage)
            if room == 0:
                yield group
                group, room = [], size
    if group:
        yield group


def _cut(block: Block, start: int, stop: int) -> Block:
    """The alleles start to stop of a block."""
    if start == 0 and stop >= len(block.dosage):
        return block
    return Block({k: v[start:stop] for k, v in block.variants.items()}, block.dosage[start:stop])


def joined(blocks: Sequence[Block], samples: int, field: Field, info: Sequence[str]) -> Block:
    """The blocks as one, each column of its variants an array."""
    kind = np.int8 if field == "GT" else np.float32
    dosage = [b.dosage for b in blocks] or [np.empty((0, samples), kind)]
    columns = {c: _column([b.variants[c] for b in blocks], c, field) for c in (*COLUMNS, *info)}
    return Block(columns, dosage[0] if len(dosage) == 1 else np.concatenate(dosage))


def _column(parts: list[Any], column: str, field: Field) -> np.ndarray:
    """The parts of one column as one array."""
    dtype: Any = DTYPES.get(column, object)
    if column == "allele_count":
        dtype = np.int64 if field == "GT" else np.float64
    return np.concatenate([np.array(p, dtype) for p in parts] or [np.empty(0, dtype)])


def unique_names() -> Callable[[Any], list[str]]:
    """A function that names alleles, and keeps repeats apart from one block to the next."""
    runs: list[np.ndarray] = []
    repeats: dict[str, int] = {}

    def names(variants: Any) -> list[str]:
        columns = (variants[c].tolist() for c in ("contig", "pos", "ref", "alt"))
        found = [f"{c}:{p}:{r}:{a}" for c, p, r, a in zip(*columns, strict=True)]
        # names of a whole genome would outweigh a block: eight bytes of hash each do not
        hashes = np.fromiter(map(hash, found), np.int64, len(found))
        fresh, first = np.unique(hashes, return_index=True)
        known = np.ones(len(found), bool)
        known[first] = False
        for run in runs:
            known |= run[np.searchsorted(run, hashes).clip(max=len(run) - 1)] == hashes
        for i in np.flatnonzero(known):
            count = repeats[found[i]] = repeats.get(found[i], 0) + 1
            found[i] = f"{found[i]}-{count}"
        _add_run(runs, fresh)
        return found

    return names


def _add_run(runs: list[np.ndarray], run: np.ndarray) -> None:
    """Keep sorted runs of falling size, so that few are searched and each is merged seldom."""
    if len(run):
        runs.append(run)
    while len(runs) > 1 and len(runs[-2]) < 2 * len(runs[-1]):
        last = runs.pop()
        runs[-1] = np.union1d(runs[-1], last)
