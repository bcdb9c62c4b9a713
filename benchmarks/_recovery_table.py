"""Cells of the recovery benchmark summed up: means with intervals, best peers, criteria."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _record import at_least, at_most
from scipy import stats

MEASURES = (
    *("ap", "ap_strict", "prediction", "power", "fdp", "fdp_strict"),
    *("fdp_unlinked", "seconds", "cpu_seconds"),
    *(f"{kind}_{what}" for kind in ("credible", "attributed") for what in ("covered", "size")),
)
PLACE = ["regime", "h2", "variants"]
CELL = [*PLACE, "replicate", "contender", "revision", "commit", *MEASURES]
OURS = "genodl"
TOLD = "plink2_interaction"  # is told which covariates to multiply, as no other peer is
INTERACTIONS = ("products", "variant_expression", "variant_covariate", "mixed")
FACTOR, FACTOR_INTERACTIONS, FACTOR_QUICK = 0.98, 1.3, 0.9
PRODUCTS_AP, FDR = 0.9, 0.1
WITHOUT_NETWORK, NETWORK_WINS = "genodl_products", 3


def interval(values: Sequence[float]) -> dict[str, Any]:
    """Mean with its 95 % interval by Student's t; no interval of a single value.

    Returns
    -------
    mean, low, high, n
    """
    values = np.asarray([v for v in values if v is not None and np.isfinite(v)], float)
    if not len(values):
        return {"mean": None, "low": None, "high": None, "n": 0}
    mean, low, high = float(values.mean()), None, None
    if len(values) > 1:
        half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
        low, high = float(mean - half), float(mean + half)
    return {"mean": mean, "low": low, "high": high, "n": len(values)}


def recorded(cells: Sequence[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """Cells with those of a table of earlier runs, which takes up the new ones.

    Parameters
    ----------
    cells : results of single cells; they replace those of the same regime, h2, variants, replicate
        and contender; one that was skipped leaves what is there
    path : of a TSV, made where it is absent
    """
    known = pd.read_csv(path, sep="\t") if path.exists() else pd.DataFrame()
    known = known.reindex(columns=CELL)
    ran = pd.DataFrame([c for c in cells if c.get("ap") is not None]).reindex(columns=CELL)
    # what is about to be written is all that is read
    kinds = dict.fromkeys(MEASURES, float) | {"h2": float, "variants": int, "replicate": int}
    both = pd.concat([known.astype(kinds), ran.astype(kinds).round(5)], ignore_index=True)
    key = [*PLACE, "replicate", "contender"]
    table = both.drop_duplicates(key, keep="last").sort_values(key, kind="stable")
    part = path.with_suffix(".partial")
    table.to_csv(part, sep="\t", index=False)
    part.rename(path)
    return table.to_dict("records")


def ours(contender: str) -> bool:
    """Whether it is genodl or one of its ablations."""
    return contender.startswith(OURS)


def summary(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry a regime, h2 and number of variants.

    Parameters
    ----------
    cells : results of single cells; those that were skipped are listed with their reason

    Returns
    -------
    regime, h2, variants; contenders: name -> measure -> interval; skipped: name -> reason;
    against: measure -> best peer by its mean over the replicates that both ran, ratio and
    paired difference; `ap_untold` leaves TOLD out, `ap_network` is over genodl without networks
    """
    if not cells:
        return []
    table = pd.DataFrame(cells)
    return [
        {"regime": regime, "h2": float(h2), "variants": int(variants), **_entry(group)}
        for (regime, h2, variants), group in table.groupby(PLACE, sort=False)
    ]


def _entry(group: pd.DataFrame) -> dict[str, Any]:
    """The contenders of one regime."""
    ran = group[group["ap"].notna()] if "ap" in group else group[:0]
    skipped = group.drop(ran.index)
    contenders = {
        name: {m: interval(part[m]) for m in MEASURES if m in part and part[m].notna().any()}
        for name, part in ran.groupby("contender", sort=False)
    }
    peers = [name for name in contenders if not ours(name)]
    against = {m: _against(ran, m, peers) for m in ("ap", "ap_strict", "prediction")}
    against["ap_untold"] = _against(ran, "ap", [name for name in peers if name != TOLD])
    against["ap_network"] = _against(ran, "ap", [WITHOUT_NETWORK])
    return {
        "contenders": contenders,
        "skipped": dict(zip(skipped["contender"], skipped.get("skipped", []), strict=False)),
        "against": {m: found for m, found in against.items() if found},
    }


def _against(ran: pd.DataFrame, measure: str, peers: Sequence[str]) -> dict[str, Any] | None:
    """genodl beside the peer of the best mean, over the replicates that all of them ran.

    A peer that ran fewer of them than the others is left out: it would set the others' apart.
    """
    if measure not in ran:
        return None
    wide = ran.pivot(index="replicate", columns="contender", values=measure)
    wide = wide.dropna(axis=1, how="all").astype(float)
    peers = [name for name in peers if name in wide]
    if OURS not in wide or not peers:
        return None
    ran_by = wide.loc[wide[OURS].notna(), peers].notna().sum()
    peers = [name for name in peers if ran_by[name] == ran_by.max()]
    wide = wide[[OURS, *peers]].dropna()
    if wide.empty:
        return None
    best = wide[peers].mean().idxmax()
    top = float(wide[best].mean())
    difference = interval(wide[OURS] - wide[best])
    found = float(wide[OURS].mean())
    return {"best_peer": best, "ratio": found / top if top > 0 else None, "difference": difference}


def ablation(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean average precision and out-of-fold prediction of genodl with its parts left out."""
    rows = []
    for entry in entries:
        parts = {name: got for name, got in entry["contenders"].items() if ours(name)}
        if len(parts) < 2:
            continue
        row: dict[str, Any] = {name: entry[name] for name in PLACE}
        for measure in ("ap", "prediction"):
            row[measure] = {n: got[measure]["mean"] for n, got in parts.items() if measure in got}
        rows.append(row)
    return rows


def criteria(entries: Sequence[dict[str, Any]], *, quick: bool) -> dict[str, dict]:
    """What each regime is held to."""
    found: dict[str, dict] = {}
    for entry in entries:
        found |= _judged(entry, quick=quick)
    trained = [e["against"]["ap_network"] for e in entries if "ap_network" in e["against"]]
    if trained:
        wins = sum((each["difference"]["low"] or 0) > 0 for each in trained)
        found["settings in which the network wins"] = at_least(wins, NETWORK_WINS)
    return found


def _judged(entry: dict[str, Any], *, quick: bool) -> dict[str, dict]:
    """The criteria of one regime."""
    label = f"{entry['regime']}, h2 {entry['h2']:g}, {entry['variants']} variants"
    found: dict[str, dict] = {}
    least = FACTOR_QUICK if quick else FACTOR
    bounds = [("ap", least), ("prediction", least)]
    if entry["regime"] in INTERACTIONS and not quick:
        bounds.append(("ap_untold", FACTOR_INTERACTIONS))
    for measure, bound in bounds:
        beside = entry["against"].get(measure)
        if beside and beside["ratio"] is not None:
            name = f"{label}: {measure} over the best peer's"
            found[name] = {**at_least(beside["ratio"], bound), "best_peer": beside["best_peer"]}
    mine = entry["contenders"].get(OURS, {})
    if entry["regime"] == "products" and entry["h2"] == 0.2 and "ap" in mine:
        found[f"{label}: ap"] = at_least(mine["ap"]["mean"], PRODUCTS_AP)
    if "fdp" in mine and not quick:
        lower = mine["fdp"]["low"]
        lower = mine["fdp"]["mean"] if lower is None else lower
        found[f"{label}: lower end of the realised FDR"] = at_most(lower, FDR)
    return found
