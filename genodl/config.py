"""The settings of a run: one frozen dataclass, one TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import ConfigDict, TypeAdapter, ValidationError

from genodl.errors import InputError, nearest

if TYPE_CHECKING:
    from genodl.train.progress import TrainConfig

KindAsked = Literal["auto", "quantitative", "binary", "multiclass", "survival"]
Null = Literal["score", "permutation", "knockoff"]
MODELS = ("auto", "linear", "mlp", "pathway", "cnn", "lstm", "gru", "attention", "fusion")


@dataclass(frozen=True, kw_only=True)
class DiscoverConfig:
    """How markers are looked for.

    Attributes
    ----------
    kind : of the phenotypes; "auto" reads it off the column
    model : network of the ensemble; "auto" is the best measured default, which is "pathway" where
        genes are given, "linear" trains none
    folds : of the cross-fitting
    members : networks a fold; 0 trains none
    fdr : false discovery rate at which loci are reported
    seed : of folds, inner folds, members and permutations
    pcs : principal components of the variants used as covariates
    group : column whose levels stay in one fold (family, donor, site)
    call_rate, maf, min_carriers : filters of the markers
    candidates : features that the screen of each training fold passes on
    network_inputs : markers a network sees
    rates : factors of the learning rate; each network is trained under all of them, and its own
        validation rows choose one
    masked : share of the alleles, or values, of a minibatch that are set to their mean in training
    mixup : parameter of the Beta law by which rows of a minibatch are mixed in training; 0 = not
    pair_markers : markers, at most, all of whose pairwise products are scanned; 0 scans none
    triple_markers : of those, markers, at most, all of whose products of three are scanned: those
        along which the phenotype differs most in mean or spread; 0 scans none
    locus_r2, locus_window : LD (r2) and distance (bp) within which variants form one locus
    checks : permuted replicates of the self-check, shared among the phenotypes
    gene_window : bp around a gene within which a variant belongs to it
    min_class : samples that a class of a multiclass phenotype needs for a test of its own
    null : where p- and q-values come from: the score test; "permutation", p-values from `checks`
        replicates of each phenotype within strata of the covariates; "knockoff", q-values of loci
        from the knockoff filter
    """

    kind: KindAsked = "auto"
    model: str = "auto"
    folds: int = 10
    members: int = 8
    fdr: float = 0.1
    seed: int = 0
    pcs: int = 0
    group: str | None = None
    call_rate: float = 0.9
    maf: float = 0.01
    min_carriers: int = 3
    candidates: int = 300
    network_inputs: int = 96
    rates: tuple[float, ...] = (1.0,)
    masked: float = 0.0
    mixup: float = 0.0
    pair_markers: int = 20_000
    triple_markers: int = 512
    locus_r2: float = 0.1
    locus_window: int = 3_000_000
    checks: int = 5
    gene_window: int = 0
    min_class: int = 20
    null: Null = "score"

    # read by pydantic's TypeAdapter
    __pydantic_config__ = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        rules = {
            "folds": (self.folds >= 2, "at least 2"),
            "members": (self.members >= 0, "0 or more"),
            "fdr": (0 < self.fdr < 1, "between 0 and 1"),
            "seed": (self.seed >= 0, "0 or more"),
            "pcs": (self.pcs >= 0, "0 or more"),
            "call_rate": (0 <= self.call_rate <= 1, "between 0 and 1"),
            "maf": (0 <= self.maf < 0.5, "between 0 and 0.5"),
            "candidates": (self.candidates >= 1, "at least 1"),
            "network_inputs": (self.network_inputs >= 1, "at least 1"),
            "rates": (self.rates and min(self.rates) > 0, "one or more above 0"),
            "masked": (0 <= self.masked < 1, "0 or more and below 1"),
            "mixup": (self.mixup >= 0, "0 or more"),
            "pair_markers": (self.pair_markers >= 0, "0 or more"),
            "triple_markers": (self.triple_markers >= 0, "0 or more"),
            "locus_r2": (0 < self.locus_r2 <= 1, "above 0 and at most 1"),
            "locus_window": (self.locus_window >= 0, "0 or more"),
            "checks": (self.checks >= 0, "0 or more"),
            "gene_window": (self.gene_window >= 0, "0 or more"),
            "min_class": (self.min_class >= 5, "at least 5"),
        }
        for name, (holds, expected) in rules.items():
            if not holds:
                raise InputError(
                    f"is {getattr(self, name)}, expected {expected}",
                    where=f"option {name.replace('_', '-')}",
                    mend="change it",
                )
        _check_kind(self.kind)
        _check_null(self.null, self.checks)
        _check_model(self.model)

    @property
    def training(self) -> TrainConfig:
        """How networks are trained."""
        from genodl.train.progress import TrainConfig

        tried = tuple((rate, 1.0) for rate in self.rates)
        return TrainConfig(tried=tried, masked=self.masked, mixup=self.mixup)


def _check_kind(kind: str) -> None:
    """Refuse a kind of phenotype that is unknown."""
    known = get_args(KindAsked)
    if kind not in known:
        raise InputError(
            f"no kind named {kind!r}", where="option kind", mend=f"use one of {', '.join(known)}"
        )


def _check_null(null: str, checks: int) -> None:
    """Refuse a null that is unknown, or permutations of which none are made."""
    known = get_args(Null)
    if null not in known:
        raise InputError(
            f"no null named {null!r}", where="option null", mend=f"use one of {', '.join(known)}"
        )
    if null == "permutation" and not checks:
        raise InputError(
            "permutation is asked for with 0 replicates",
            where="option checks",
            mend="ask for 1 or more --checks",
        )


def _check_model(model: str) -> None:
    """Refuse a model that is unknown."""
    if model not in MODELS:
        raise InputError(
            f"no model named {model!r}",
            where="option model",
            mend=f"use one of {', '.join(MODELS)}",
        )


def read(path: Path | None, **given: Any) -> DiscoverConfig:
    """Settings from a TOML file; what is given (not None) takes precedence.

    Raises
    ------
    InputError : the file is not TOML, or holds an unknown key or a value of the wrong kind
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    if path is None:
        return _validated(chosen, where="options")
    table = _table(path)
    # on its own first, so that a fault of the file is told from a fault of the options
    _validated(table, where=str(path))
    return _validated(table | chosen, where="options")


def _table(path: Path) -> dict[str, Any]:
    """The keys of a TOML file."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as fault:
        reason = (fault.strerror or str(fault)).lower()
        raise InputError(
            f"cannot be read ({reason})", where=str(path), mend="give a TOML file"
        ) from None
    except UnicodeDecodeError:
        raise InputError(
            "is not UTF-8 text", where=str(path), mend="save it as UTF-8 TOML"
        ) from None
    except tomllib.TOMLDecodeError as fault:
        raise InputError(f"is not TOML ({fault})", where=str(path), mend="correct it") from None


def _validated(table: dict[str, Any], *, where: str) -> DiscoverConfig:
    """The settings, each of its kind and in its range."""
    known = list(DiscoverConfig.__dataclass_fields__)
    for key in table:
        if key not in known:
            raise InputError(
                f"unknown key {key!r}", where=where, mend=f"the nearest are {nearest(key, known)}"
            )
    try:
        return TypeAdapter(DiscoverConfig).validate_python(table)
    except ValidationError as fault:
        raise _as_input_error(fault, where=where) from None


def _as_input_error(fault: ValidationError, *, where: str) -> InputError:
    """The first fault pydantic found, in one line."""
    first = fault.errors()[0]
    own = first.get("ctx", {}).get("error")
    if isinstance(own, InputError):
        what, _, mend = str(own).rpartition("; ")
        return InputError(what, where=where, mend=mend) if where != "options" else own
    place = ".".join(str(part) for part in first["loc"][:1])
    expected = first["msg"][:1].lower() + first["msg"][1:]
    return InputError(
        f"{place} is {first['input']!r}, {expected}", where=where, mend=f"correct {place}"
    )


def as_dict(config: DiscoverConfig) -> dict[str, Any]:
    """The settings as plain values, for the provenance."""
    return asdict(config)
