"""The samples of the table that at least one modality has."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genodl.cohort.presence import VARIANTS, wholly_missing
from genodl.errors import InputError
from genodl.values import MISSING, Cohort, Loss

if TYPE_CHECKING:
    from anndata import AnnData

# enough to see a pattern that holds, few enough to compare each with all of the other side
PROBES = 50


def join(modalities: dict[str, AnnData], samples: pd.DataFrame) -> Cohort:
    """The cohort of the samples of the table that at least one modality has, in its order.

    Where a modality lacks a kept sample, the sample's row is missing there throughout: `MISSING`
    in the integer dosages of "variants", nan elsewhere, for which integers become float32. Such a
    modality keeps its X, obs, var and uns; sparse values stay sparse.

    Parameters
    ----------
    modalities : name -> AnnData, (samples, markers), each with its own samples in its own order
    samples : index the sample ids, compared as text

    Returns
    -------
    Cohort; its `losses` count the samples that only the table has, and for each modality the
        samples that only it has and the kept samples of which it knows nothing

    Raises
    ------
    InputError : a sample id repeats, or a modality shares no sample with the table; the line shows
        three names of each side and the change that would make them match, where there is one
    """
    table = samples.set_axis(samples.index.astype(str), axis=0)
    _require_unique(table.index, where="the sample table")
    kept = np.zeros(len(table), dtype=bool)
    for name, modality in modalities.items():
        names = modality.obs_names.astype(str)
        _require_unique(names, where=name)
        shared = table.index.isin(names)
        if not shared.any():
            raise _no_match(list(names), list(table.index), modality=name)
        kept |= shared
    lost = Loss("samples", int((~kept).sum()), "in the sample table, in no modality")
    table = table[kept]
    chosen = {name: _rows(m, table.index, modality=name) for name, m in modalities.items()}
    losses = [lost]
    for name, modality in modalities.items():
        losses += _losses(modality.obs_names.astype(str), chosen[name], modality=name)
    return Cohort(chosen, table, tuple(loss for loss in losses if loss.count))


def _require_unique(names: pd.Index, *, where: str) -> None:
    """Refuse repeated sample ids, showing up to three."""
    if not names.is_unique:
        repeated = list(names[names.duplicated()].unique())
        raise InputError(
            f"{len(repeated)} sample id(s) occur more than once: {_shown(repeated)}",
            where=where,
            mend="give each sample one row",
        )


def _losses(names: pd.Index, chosen: AnnData, *, modality: str) -> list[Loss]:
    """Samples of one modality that the table lacks, and kept ones of which it knows nothing."""
    unlisted = int((~names.isin(chosen.obs_names)).sum())
    # counted by value, as a file may also hold rows without any
    absent = int(wholly_missing(chosen, variants=modality == VARIANTS).sum())
    without = f"kept without {modality}: its markers count as missing there"
    return [
        Loss("samples", unlisted, f"in {modality}, not in the sample table", modality),
        Loss("samples", absent, without, modality),
    ]


def _rows(markers: AnnData, kept: pd.Index, *, modality: str) -> AnnData:
    """A modality at the kept samples, itself where it has just these."""
    from anndata import AnnData  # over a second to load, and a linear scan needs none of it

    names = markers.obs_names.astype(str)
    if names.equals(kept):
        return markers
    rows = names.get_indexer(kept)
    if (rows >= 0).all():
        return markers[rows].copy()
    obs = markers.obs.set_axis(names, axis=0).reindex(kept.rename(markers.obs.index.name))
    # an object column of True, False and nan cannot be written
    flags = list(markers.obs.select_dtypes("bool"))
    obs = obs.astype(dict.fromkeys(flags, "boolean"))
    values = _padded(markers.X, rows, variants=modality == VARIANTS)
    return AnnData(values, obs=obs, var=markers.var.copy(), uns=dict(markers.uns))


def _padded(values: Any, rows: np.ndarray, *, variants: bool) -> Any:
    """The chosen rows of an array or sparse matrix; -1 chooses a row of missing values."""
    whole = values.dtype.kind == "i" and variants
    fill = MISSING if whole else np.nan
    dtype = values.dtype if whole or values.dtype.kind == "f" else np.dtype(np.float32)
    if hasattr(values, "toarray"):
        import scipy.sparse

        # row -1 is the last one
        last = scipy.sparse.csr_matrix(np.full((1, values.shape[1]), fill, dtype))
        return scipy.sparse.vstack([values.astype(dtype), last], format="csr")[rows]
    values = np.asarray(values)
    # in the order it lies in memory: ten times faster where markers are read one by one
    if values.flags.f_contiguous:
        chosen = np.take(values.T, rows, axis=1, mode="wrap").T
    else:
        chosen = np.take(values, rows, axis=0, mode="wrap")
    chosen = chosen.astype(dtype, copy=False)
    chosen[rows < 0] = fill
    return chosen


def _no_match(left: Sequence[str], right: Sequence[str], *, modality: str) -> InputError:
    """The fault of two lists of samples with nothing in common, and what would mend it."""
    change = _matching_change(left, right, left_side=modality, right_side="the sample table")
    return InputError(
        f"no sample in common: {modality} has {_shown(left)}, the sample table has {_shown(right)}"
        + (f"; {change}" if change else ""),
        where=f"joining {modality} with the sample table",
        mend="make the ids the same in both",
    )


def _shown(names: Sequence[str]) -> str:
    """Up to three names."""
    return ", ".join(repr(str(n)) for n in names[:3]) + (", ..." if len(names) > 3 else "")


def _matching_change(
    left: Sequence[str], right: Sequence[str], *, left_side: str, right_side: str
) -> str:
    """A phrase saying which change of the ids makes samples match, "" if none is found."""
    rewritten = {
        phrase: sum(rewrite(r) in {rewrite(n) for n in left} for r in right[:PROBES])
        for phrase, rewrite in REWRITES.items()
    }
    found = next((phrase for phrase, count in rewritten.items() if count), "")
    if found:
        return f"they match when {found}"
    for fold, also in ((str, ""), (str.casefold, " and upper and lower case taken as the same")):
        one, two = [fold(n.strip()) for n in left], [fold(n.strip()) for n in right]
        for longer, shorter, side in ((one, two, left_side), (two, one, right_side)):
            affix = _common_affix(longer, shorter)
            if affix:
                return f"they match when the {affix} is removed from {side}{also}"
    return ""


def _common_affix(longer: Sequence[str], shorter: Collection[str]) -> str:
    """The prefix or suffix whose removal from most probes of `longer` gives names of `shorter`."""
    probes, names = longer[:PROBES], set(shorter)
    found: Counter[str] = Counter()
    for probe in probes:
        for cut in range(1, len(probe)):
            if probe[cut:] in names:
                found[f"prefix {probe[:cut]!r}"] += 1
            if probe[:cut] in names:
                found[f"suffix {probe[cut:]!r}"] += 1
    # a chance match of one short name is no pattern
    enough = min(2, len(probes), len(names))
    best = found.most_common(1)
    return best[0][0] if best and best[0][1] >= enough else ""


def _without_leading_zeros(name: str) -> str:
    """`007` as `7`, `7.0` as `7`."""
    return re.sub(r"^0+(?=\d)|\.0+$", "", name)


def _once(name: str) -> str:
    """`A_A` as `A`: PLINK writes the family and the sample id."""
    half = (len(name) - 1) // 2
    doubled = (
        len(name) % 2 == 1 and name[:half] == name[half + 1 :] and name[half : half + 1] in "_-:"
    )
    return name[:half] if doubled and half else name


REWRITES: dict[str, Callable[[str], str]] = {
    "spaces at their ends are removed": str.strip,
    "upper and lower case are taken as the same": lambda n: n.strip().casefold(),
    "numbers are written alike (no leading zeros, no '.0')": _without_leading_zeros,
    "an id written twice (family_sample) is written once": _once,
    "'-', '.', '_' and spaces are taken as the same": lambda n: re.sub(r"[\W_]+", "_", n.strip()),
}
