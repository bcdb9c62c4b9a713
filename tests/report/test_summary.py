"""Sentences, warnings and numbers a person reads."""

from __future__ import annotations

import json
import math

import pytest
from fake_result import write_result

from genodl.report import summarise
from genodl.report.result import read_result
from genodl.report.summary import (
    beyond,
    decimal,
    percent,
    probability,
    run_warnings,
    sentence,
    shorten,
    totals,
    warnings_of,
)


def change(path, edit):
    """Load a JSON file, edit it in place, write it back."""
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.04216, "0.042"),
        (0.001, "0.0010"),
        (1, "1.0"),
        (3.14e-8, "3.1×10⁻⁸"),
        (9.99e-101, "1.0×10⁻¹⁰⁰"),
        (0, "0"),
        (math.nan, "–"),
        (None, "–"),
    ],
)
def test_a_probability_has_two_significant_digits(value, shown):
    assert probability(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(-0.314, "−0.31"), (-0.001, "0.00"), (2, "2.00"), (None, "–")]
)
def test_a_decimal_has_a_true_minus_and_no_negative_zero(value, shown):
    assert decimal(value) == shown


def test_a_share_is_a_percentage():
    assert percent(0.1) == "10 %"
    assert percent(0.025) == "2.5 %"
    assert percent(0.0473, 2) == "4.73 %"


def test_a_long_name_keeps_both_ends_within_its_bound():
    short = shorten("chr1:12345:" + "ACGT" * 50 + ":T", 30)
    assert len(short) == 30
    assert short.startswith("chr1:12345:")
    assert short.endswith(":T")
    assert shorten("x" * 30, 30) == "x" * 30


def test_the_sentence_names_found_loci_and_the_verdict(tmp_path):
    result = read_result(write_result(tmp_path, hits=2))
    leads = list(result.loci["lead_marker"].head(2))
    entry = result.performance["response"]
    assert (result.loci["q_value"] < result.fdr).sum() == 2
    assert sentence(result, "response") == (
        f"2 loci at FDR 10 %: {leads[0]}, {leads[1]}; the network adds nothing over the linear "
        f"model (out-of-fold R² {entry['deep']['value']:.2f} against "
        f"{entry['linear']['value']:.2f}; covariates alone 0.04)"
    )


def test_finding_nothing_is_said(tmp_path):
    result = read_result(write_result(tmp_path, hits=0, fdr=1e-9))
    assert sentence(result, "response").startswith("no locus at FDR 1e-07 %; ")


def test_the_network_that_adds_is_credited(tmp_path):
    write_result(tmp_path)
    change(tmp_path / "performance.json", lambda p: p["response"].update(network_adds=True))
    assert "the network adds to the linear model" in summarise(tmp_path)[0]


def test_interactions_and_the_network_are_told_apart(tmp_path):
    write_result(tmp_path)
    path = tmp_path / "performance.json"
    change(path, lambda p: p["response"].update(network_adds=True, products_add=True))
    assert "interactions and the network add to the linear model" in summarise(tmp_path)[0]
    entry = read_result(tmp_path).performance["response"]
    assert beyond(entry) == "interactions and the network"
    assert beyond({**entry, "network_adds": False}) == "interactions"
    assert beyond({**entry, "products_add": False}) == "the network"
    assert beyond({}) == "nothing added"


def test_a_run_without_networks_says_so(tmp_path):
    write_result(tmp_path)
    change(tmp_path / "run.json", lambda run: run.update(members=0))
    assert "; no network was trained (out-of-fold R² " in summarise(tmp_path)[0]


def test_the_terminal_gets_one_line_a_phenotype_without_reading_markers(tmp_path):
    write_result(tmp_path, phenotypes=("A, b:1", "case"))
    (tmp_path / "markers.tsv").unlink()
    lines = summarise(tmp_path)
    assert [line.split(": ")[0] for line in lines] == ["A, b:1", "case"]
    assert "AUC" in lines[1]


def test_a_sound_run_carries_no_warning(tmp_path):
    result = read_result(write_result(tmp_path))
    assert run_warnings(result) == []
    assert warnings_of(result, "response") == []


def test_a_failed_self_check_is_a_warning(tmp_path):
    (said,) = run_warnings(read_result(write_result(tmp_path, passed=False)))
    assert said.startswith("The self-check failed")
    assert "11 of 20" in said


@pytest.mark.parametrize("check", [None, {"replicates": 0, "below": {}, "passed": None}])
def test_a_run_without_self_check_says_so(tmp_path, check):
    write_result(tmp_path)
    change(tmp_path / "calibration.json", lambda c: c.update(self_check=check))
    assert run_warnings(read_result(tmp_path))[0].startswith("No self-check")


@pytest.mark.parametrize(("inflation", "warned"), [(1.1, 0), (1.11, 1)])
def test_inflation_beyond_a_tenth_is_a_warning(tmp_path, inflation, warned):
    write_result(tmp_path)
    change(tmp_path / "calibration.json", lambda c: c["response"].update({"lambda": inflation}))
    assert len(warnings_of(read_result(tmp_path), "response")) == warned


def test_covariates_that_predict_as_well_are_a_warning(tmp_path):
    write_result(tmp_path)

    def equal(performance):
        entry = performance["response"]
        best = max(entry["deep"]["value"], entry["linear"]["value"])
        entry["covariates"]["value"] = best

    change(tmp_path / "performance.json", equal)
    (said,) = warnings_of(read_result(tmp_path), "response")
    assert said.startswith("Covariates alone predict as well")


def test_an_unknown_network_is_not_compared(tmp_path):
    write_result(tmp_path)
    unknown = {"value": None, "low": None, "high": None}
    change(tmp_path / "performance.json", lambda p: p["response"].update(deep=unknown))
    result = read_result(tmp_path)
    assert warnings_of(result, "response") == []
    change(tmp_path / "performance.json", lambda p: p["response"]["covariates"].update(value=0.9))
    assert len(warnings_of(read_result(tmp_path), "response")) == 1


def test_totals_count_phenotypes_with_a_locus(tmp_path):
    result = read_result(write_result(tmp_path, phenotypes=("a", "b", "c"), hits=1, fdr=0.001))
    assert totals(result).startswith("3 of 3 phenotypes have a locus at FDR 0.1 %")
