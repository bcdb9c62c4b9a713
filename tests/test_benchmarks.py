"""The benchmarks count rightly: each measure worked out by hand."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


def script(name: str) -> ModuleType:
    """A benchmark as a module."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    return importlib.import_module(name)


def ranking(*rows: tuple) -> pd.DataFrame:
    """A markers.tsv of one phenotype, given by its columns of interest, best first."""
    table = pd.DataFrame(rows, columns=["marker", "modality", "contig", "pos", "marginal_p"])
    table["phenotype"] = "trait"
    table["locus"] = table["marker"]
    table["rank"] = np.arange(1, len(table) + 1)
    table["p_value"] = table["rank"] / 100
    table["q_value"] = table["rank"] / 10
    table["stability"] = 1.0
    return table


CELL_LINES = ranking(
    ("EGFR", "expression", "", None, 0.9),
    ("RB1_mut", "alterations", "", None, 0.3),
    ("gain (EGFR)", "alterations", "", None, 0.1),
    ("EGFR_mut", "alterations", "", None, 0.2),
)


def test_the_best_expected_alteration_counts_and_expression_does_not():
    found = script("gdsc").best_rank(CELL_LINES, "trait", "EGFR_mut|(EGFR)")
    assert (found["rank"], found["marker"], found["first"]) == (2, "gain (EGFR)", "RB1_mut")
    assert found["q_value"] == pytest.approx(0.3)


def test_the_linear_scan_is_ranked_by_its_own_p_values():
    found = script("gdsc").best_rank(CELL_LINES, "trait", "EGFR_mut")
    assert (found["rank"], found["scan_rank"]) == (3, 2)


def test_an_expected_name_is_no_pattern():
    table = ranking(("EGFR2", "alterations", "", None, 0.1), ("(EGFR)", "alterations", "", 0, 0.2))
    assert script("gdsc").best_rank(table, "trait", "(EGFR)")["rank"] == 2


def test_an_expected_alteration_that_was_not_tested_is_an_error():
    with pytest.raises(LookupError, match="KRAS"):
        script("gdsc").best_rank(CELL_LINES, "trait", "KRAS_mut")


def test_ranks_are_summed_up():
    found = script("gdsc").summary([1, 1, 4, 10])
    assert (found["first"], found["top_five"], found["of"]) == (2, 3, 4)
    assert found["mean_reciprocal_rank"] == pytest.approx((1 + 1 + 1 / 4 + 1 / 10) / 4)


def test_a_locus_includes_both_its_ends_and_only_variants_count():
    loci = pd.DataFrame(
        {"phenotype": ["trait"], "contig": ["1"], "start": [100], "end": [200], "causal_gene": "G"}
    )
    table = ranking(
        ("gene", "expression", "1", 150, 0.1),
        ("below", "variants", "1", 99, 0.1),
        ("elsewhere", "variants", "2", 150, 0.1),
        ("end", "variants", "1", 200, 0.1),
        ("start", "variants", "1", 100, 0.1),
    )
    (found,) = script("yeast").expected_first(table, loci)
    assert (found["rank"], found["marker"], found["causal_gene"]) == (3, "end", "G")
    with pytest.raises(LookupError, match="trait"):
        script("yeast").expected_first(table[:3], loci)


def test_permutation_moves_known_values_alone():
    samples = pd.DataFrame({"trait": [1.0, 2, np.nan, 4, 5, 6, 7, 8]})
    made = script("permuted").permuted(samples, ["trait"], permutations=3, seed=0)
    assert list(made) == [f"trait permuted {i}" for i in (1, 2, 3)]
    for column in made:
        assert np.isnan(made[column][2])
        assert sorted(made[column].dropna()) == [1, 2, 4, 5, 6, 7, 8]
    assert made.T.drop_duplicates().shape[0] == 3
    again = script("permuted").permuted(samples, ["trait"], permutations=3, seed=0)
    pd.testing.assert_frame_equal(made, again)


def test_calibration_counts_runs_and_p_values():
    markers = pd.DataFrame(
        {"phenotype": ["a"] * 4 + ["b"] * 4, "p_value": [0.0005, 0.2, 0.3, 0.04] + [0.5] * 4}
    )
    loci = pd.DataFrame({"phenotype": ["a", "a", "b"], "q_value": [0.05, 0.9, 0.1]})
    found = script("permuted").calibration(markers, loci)
    assert (found["runs"], found["runs_with_discovery"], found["n_p_values"]) == (2, 1, 8)
    shares = {level: entry["share"] for level, entry in found["below"].items()}
    assert shares == {"0.05": 2 / 8, "0.01": 1 / 8, "0.001": 1 / 8}
    # the two runs have shares of 1/2 and 0: standard deviation 0.3536, over the root of 2
    assert found["below"]["0.05"]["standard_error"] == pytest.approx(0.25)


def test_the_demo_is_counted_as_it_counts_itself():
    from genodl.cli.demo import compare

    truth = pd.DataFrame({"marker": ["m1"], "modality": ["variants"], "role": ["additive"]})
    names = ["m1", "m2", "m3"]
    markers = pd.DataFrame({"marker": names, "modality": "variants", "locus": ["l1", "l2", "l3"]})
    loci = pd.DataFrame({"locus": ["l1", "l2", "l3"], "q_value": [0.01, 0.02, 0.5]})
    loci = loci.assign(modality="variants", rank=[1, 2, 3])
    lines = compare(truth, markers, loci, fdr=0.1)
    assert script("demo").counted("\n".join(lines)) == {
        "selected_loci": 2,
        "true_loci": 1,
        "false_loci": 1,
        "realised_fdr": 0.5,
    }


def test_a_bound_includes_itself():
    record = script("_record")
    assert record.at_least(25, 25)["met"]
    assert not record.at_least(24, 25)["met"]
    assert record.at_most(0.1, 0.1)["met"]
    assert not record.at_most(0.11, 0.1)["met"]


def test_short_json_says_the_same():
    value = {"a": [{"b": 1, "c": "x [y] {z}"}, {}], "d": {"e": [1, 2, [3]]}, "f": "line"}
    short = script("_record").flat(json.dumps(value, indent=1))
    assert json.loads(short) == value
    assert len(short.splitlines()) < len(json.dumps(value, indent=1).splitlines())


def test_a_command_is_weighed_and_its_failure_is_raised(tmp_path):
    record = script("_record")
    done = record.genodl("--version")
    assert done.stdout.strip()
    assert 0 < done.seconds < 60
    assert 0 < done.cpu_seconds < 60
    assert 0.001 < done.memory_gb < 4
    with pytest.raises(RuntimeError, match=r"exit 2.*\n.*absent\.tsv"):
        record.genodl("discover", "--samples", "absent.tsv", "--phenotype", "x", "--out", tmp_path)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_benchmark_has_a_toy_size(name):
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py"), "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "--quick" in done.stdout
