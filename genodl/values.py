"""The values that flow through genodl, on one page.

A cohort is read and joined (`Cohort`), a phenotype becomes one residual (`Phenotype`), and a
ranking leaves as tables. All values are frozen; a change makes a new one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from genodl.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

MISSING = -1
Kind = Literal["quantitative", "binary", "multiclass", "survival"]


@dataclass(frozen=True)
class Loss:
    """How many samples, markers or covariates a step left out or filled in, and why.

    Attributes
    ----------
    what : "samples", "markers" or "covariates"
    count : how many
    reason : one phrase, such as "call rate below 0.9"
    modality : the modality concerned, "" when it concerns the sample table
    """

    what: Literal["samples", "markers", "covariates"]
    count: int
    reason: str
    modality: str = ""


@dataclass(frozen=True, eq=False)
class Cohort:
    """The same samples seen through one or more modalities.

    Attributes
    ----------
    modalities : name -> AnnData, (samples, markers); all hold the same samples in the same order.
        "variants" holds int8 ALT dosage with `MISSING` = -1 (float32 and nan for imputed dosage);
        others hold float32 with nan for missing. A sample that a modality lacks is missing there
        throughout.
    samples : DataFrame, one row a sample in that order, index the sample id
    losses : what the join and the filters left out
    """

    modalities: dict[str, AnnData]
    samples: pd.DataFrame
    losses: tuple[Loss, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.modalities:
            raise InputError("no modality given", where="Cohort", mend="pass at least one AnnData")
        expected = [str(s) for s in self.samples.index]
        if len(set(expected)) != len(expected):
            raise InputError(
                "sample ids repeat", where="Cohort.samples", mend="give each sample one row"
            )
        for name, modality in self.modalities.items():
            found = [str(s) for s in modality.obs_names]
            if found != expected:
                raise InputError(
                    f"{len(found)} samples whose ids or order differ from the table's "
                    f"{len(expected)}",
                    where=f"Cohort.modalities[{name!r}]",
                    mend="join with genodl.read_cohort or genodl.cohort.join first",
                )

    def to_mudata(self) -> MuData:
        """The cohort as one MuData, the sample table in `.obs`."""
        from mudata import MuData

        whole = MuData(dict(self.modalities))
        whole.obs = self.samples.loc[list(whole.obs_names)]
        return whole


@dataclass(frozen=True, eq=False)
class Phenotype:
    """One trait of a cohort.

    Attributes
    ----------
    name : column of the sample table; "TIME,EVENT" of a survival phenotype
    kind : quantitative, binary, multiclass or survival
    values : float64, (samples,), nan = missing; binary is 0 and 1, multiclass the code of the
        class, survival the time
    classes : labels of the classes in the order of their codes, () where there are none
    rare : labels of multiclass classes too small for a test of their own; their code is
        len(classes)
    event : float64, (samples,), 1 where the event was seen and 0 where the time is censored, of a
        survival phenotype
    """

    name: str
    kind: Kind
    values: np.ndarray
    classes: tuple[str, ...] = ()
    rare: tuple[str, ...] = ()
    event: np.ndarray | None = None

    @property
    def observed(self) -> np.ndarray:
        """bool, (samples,), where the phenotype is known."""
        return np.isfinite(self.values)
