"""What a result says, in plain words: sentences, warnings and numbers for people."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from genodl.report.files import number
from genodl.report.result import Result, read_result

METRICS = {"r2": "R²", "auc": "AUC", "auc_macro": "macro AUC", "c_index": "concordance"}
INFLATED = 1.1
NAMED_LOCI = 5


def summarise(directory: Path) -> list[str]:
    """One plain line a phenotype on a finished result folder, for the terminal.

    Raises
    ------
    InputError : a file of the folder is missing or damaged
    """
    result = read_result(directory, markers=False)
    return [f"{name}: {sentence(result, name)}" for name in result.phenotypes]


def found_loci(result: Result, phenotype: str) -> pd.DataFrame:
    """The loci of a phenotype whose q-value lies below the run's FDR, best first."""
    loci = result.of(phenotype)[1]
    return loci[loci["q_value"] < result.fdr]


def sentence(result: Result, phenotype: str) -> str:
    """What was found for a phenotype, and whether more than the linear model was needed for it."""
    found = found_loci(result, phenotype)
    said = _verdict(result.performance[phenotype], trained=result.run.get("members") != 0)
    return f"{_discoveries(found, result.fdr)}; {said}"


def totals(result: Result) -> str:
    """Over all phenotypes: how many have a locus, and for how many more than lines is needed."""
    n = len(result.phenotypes)
    some = sum(not found_loci(result, name).empty for name in result.phenotypes)
    entries = result.performance.values()
    adds, products = (
        sum(bool(e.get(k)) for e in entries) for k in ("network_adds", "products_add")
    )
    doubtful = sum(bool(warnings_of(result, name)) for name in result.phenotypes)
    said = (
        f"{some:,} of {n:,} phenotypes have a locus at FDR {percent(result.fdr)}, controlled "
        f"within each phenotype; interactions add to the linear model in {products:,}, "
        f"the network in {adds:,}"
    )
    return f"{said}; {doubtful:,} carry a warning." if doubtful else f"{said}."


def _discoveries(found: pd.DataFrame, fdr: float) -> str:
    """How many loci, and the names of the first few."""
    if found.empty:
        return f"no locus at FDR {percent(fdr)}"
    names = [shorten(name) for name in found["lead_marker"].head(NAMED_LOCI)]
    more = f" and {len(found) - NAMED_LOCI:,} more" if len(found) > NAMED_LOCI else ""
    loci = "1 locus" if len(found) == 1 else f"{len(found):,} loci"
    return f"{loci} at FDR {percent(fdr)}: {', '.join(names)}{more}"


def _verdict(entry: dict[str, Any], *, trained: bool) -> str:
    """The full model against the linear one and the covariates alone."""
    deep, linear, floor = (decimal(entry[m]["value"]) for m in ("deep", "linear", "covariates"))
    beside = "" if floor == "–" else f"; covariates alone {floor}"
    against = f"(out-of-fold {metric(entry)} {deep} against {linear}{beside})"
    if entry.get("network_adds") and entry.get("products_add"):
        return f"interactions and the network add to the linear model {against}"
    if entry.get("network_adds"):
        return f"the network adds to the linear model {against}"
    silent = "the network nothing" if trained else "no network was trained"
    if entry.get("products_add"):
        return f"interactions add to the linear model, {silent} {against}"
    if not trained:
        return f"no network was trained (out-of-fold {metric(entry)} {linear}{beside})"
    return f"the network adds nothing over the linear model {against}"


def beyond(entry: dict[str, Any]) -> str:
    """What the full model has beyond the linear one, as far as it predicts better."""
    named = {"products_add": "interactions", "network_adds": "the network"}
    return " and ".join(word for key, word in named.items() if entry.get(key)) or "nothing added"


def warnings_of(result: Result, phenotype: str) -> list[str]:
    """What makes the findings of one phenotype doubtful."""
    said = []
    inflation = number(result.calibration[phenotype].get("lambda"))
    if inflation > INFLATED:
        said.append(
            f"Inflated p-values: λ = {inflation:.2f} exceeds {INFLATED}. Either many markers act, "
            "or ancestry, relatives or batch leak in: more PCs, covariates or a group may help."
        )
    entry = result.performance[phenotype]
    full = max(_or_none_known(entry[model]["value"]) for model in ("deep", "linear"))
    if math.isfinite(full) and entry["covariates"]["value"] >= full:
        said.append(
            "Covariates alone predict as well as the full model "
            f"({metric(entry)} {decimal(entry['covariates']['value'])} against {decimal(full)}): "
            "the markers together add nothing to the out-of-fold prediction."
        )
    return said


def _or_none_known(value: float) -> float:
    """An unknown metric loses every comparison."""
    return -math.inf if math.isnan(value) else value


def run_warnings(result: Result) -> list[str]:
    """What makes the findings of the whole run doubtful."""
    check = result.self_check
    if check is None:
        return ["No self-check: permuted phenotypes were not run through this pipeline."]
    if not check.get("passed", False):
        return [
            "The self-check failed: with permuted phenotypes, where nothing is to be found, "
            f"the p-values are not calibrated. {check.get('statement', '')}".strip()
        ]
    return []


def metric(entry: dict[str, Any]) -> str:
    """The name of a phenotype's out-of-fold metric."""
    name = str(entry.get("metric", "score"))
    return METRICS.get(name, name)


def decimal(value: object, places: int = 2) -> str:
    """A fixed-point number with a true minus sign, an en dash where there is none."""
    found = number(value)
    if not math.isfinite(found):
        return "–"
    shown = f"{found:.{places}f}"
    return shown.replace("-", "" if float(shown) == 0 else "−")


def probability(value: object) -> str:
    """A p-value or q-value with two significant digits."""
    found = number(value)
    if not math.isfinite(found):
        return "–"
    if found >= 0.001 or found == 0:
        return f"{found:#.2g}" if found else "0"
    mantissa, exponent = f"{found:.1e}".split("e")
    return f"{mantissa}×10{str(int(exponent)).translate(SUPERSCRIPT)}"


def percent(share: object, places: int = 0) -> str:
    """A share as a percentage: 0.1 is 10 %."""
    found = number(share)
    if not math.isfinite(found):
        return "–"
    shown = f"{100 * found:.{places}f}" if places else f"{100 * found:g}"
    return f"{shown} %"


def whole(value: object) -> str:
    """An integer with thousands separated."""
    found = number(value)
    return f"{found:,.0f}" if math.isfinite(found) else "–"


def shorten(name: object, most: int = 40) -> str:
    """A name of at most `most` characters, cut in the middle: both of its ends tell it apart."""
    text = str(name)
    if len(text) <= most:
        return text
    tail = (most - 1) // 3
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
