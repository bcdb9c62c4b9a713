"""The samples common to every modality and the sample table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from genodl.errors import InputError
from genodl.values import Cohort, Loss

if TYPE_CHECKING:
    from anndata import AnnData

# enough to see a pattern that holds, few enough to compare each with all of the other side
PROBES = 50


def join(modalities: dict[str, AnnData], samples: pd.DataFrame) -> Cohort:
    """The cohort of the samples that every modality and the table share, in the table's order.

    Parameters
    ----------
    modalities : name -> AnnData, (samples, markers), each with its own samples in its own order
    samples : index the sample ids, compared as text

    Returns
    -------
    Cohort; its `losses` count, for each modality, the samples only the table has and the samples
    only the modality has

    Raises
    ------
    InputError : a sample id repeats, or no sample is common; the line shows three names of each
        side and the change that would make them match, where there is one
    """
    table = samples.set_axis(samples.index.astype(str), axis=0)
    _require_unique(table.index, where="the sample table")
    common = table.index
    losses: list[Loss] = []
    for name, modality in modalities.items():
        names = pd.Index(modality.obs_names.astype(str))
        _require_unique(names, where=name)
        if not table.index.isin(names).any():
            raise _no_match(list(names), list(table.index), modality=name)
        losses += _losses(names, table.index, modality=name)
        common = common[common.isin(names)]
    if not len(common):
        raise InputError(
            f"no sample is in all of {sorted(modalities)}, though each shares some with the table",
            where="joining the samples",
            mend="leave one modality out",
        )
    chosen = {name: _rows(modality, common) for name, modality in modalities.items()}
    return Cohort(chosen, table.loc[common], tuple(losses))


def _require_unique(names: pd.Index, *, where: str) -> None:
    """Refuse repeated sample ids, showing up to three."""
    if not names.is_unique:
        repeated = list(names[names.duplicated()].unique())
        raise InputError(
            f"{len(repeated)} sample id(s) occur more than once: {_shown(repeated)}",
            where=where,
            mend="give each sample one row",
        )


def _losses(names: pd.Index, table: pd.Index, *, modality: str) -> list[Loss]:
    """What the table and one modality lose to each other."""
    without = int((~table.isin(names)).sum())
    unlisted = int((~names.isin(table)).sum())
    both = [
        Loss("samples", without, f"in the sample table, not in {modality}", modality),
        Loss("samples", unlisted, f"in {modality}, not in the sample table", modality),
    ]
    return [loss for loss in both if loss.count]


def _rows(modality: AnnData, common: pd.Index) -> AnnData:
    """A modality at the common samples, itself where it has just these."""
    names = modality.obs_names.astype(str)
    if names.equals(common):
        return modality
    return modality[names.get_indexer(common)].copy()


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
