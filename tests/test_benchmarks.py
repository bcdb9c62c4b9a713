"""The benchmarks count rightly: each measure worked out by hand."""

from __future__ import annotations

import importlib
import json
import runpy
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.sparse import csr_matrix

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
    gdsc = script("gdsc")
    beside = {**gdsc.summary([1, 3]), "genodl": gdsc.summary([1, 2])}
    held = gdsc.better({"a": beside, "b": {"skipped": "why"}})
    assert [each["met"] for each in held.values()] == [True, True]
    held = gdsc.better({"a": beside | {"genodl": gdsc.summary([2, 2])}})
    assert [each["met"] for each in held.values()] == [False, False]
    found = gdsc.summary([1, 1, 4, 10])
    assert (found["first"], found["top_five"], found["of"]) == (2, 3, 4)
    assert found["mean_reciprocal_rank"] == pytest.approx((1 + 1 + 1 / 4 + 1 / 10) / 4)


def test_a_slow_tool_is_set_beside_our_ranks_on_the_screens_that_it_ran(tmp_path):
    gdsc = script("gdsc")
    expected = pd.DataFrame({"phenotype": ["a", "b", "c"], "expected": ["X", "Y", "X"]})

    class Screens:
        def ranked(self, peer: str, phenotype: str) -> dict[str, object]:
            return {"alterations": ["Z", "X", "Y"], "cpu_seconds": 1.5}

    asked = (Screens(), expected, [1, 4, 9], ["xgboost", "lasso"], tmp_path)
    found = gdsc.peers(*asked, every=2)
    assert found["xgboost"]["genodl"] == gdsc.summary([1, 9])
    assert found["xgboost"]["mean_reciprocal_rank"] == gdsc.summary([2, 2])["mean_reciprocal_rank"]
    assert found["xgboost"]["cpu_seconds"] == 3.0
    assert found["lasso"]["genodl"] == gdsc.summary([1, 4, 9])
    assert found["lasso"]["of"] == 3


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


def lone(*members: int):
    """A cause that is one marker."""
    within = np.array(members)
    return script("_trial").Cause(within, np.zeros(0, int), np.zeros(0, int))


def locus(lead: int, *others: int):
    return script("_recovery_score").Locus(lead, np.array([lead, *others]))


def test_a_ranking_is_clumped_greedily_and_other_markers_stand_alone():
    near = csr_matrix(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]))
    # marker 3 is no variant; the middle variant leads and takes both its neighbours
    found = script("_recovery_score").loci(np.array([1.0, 5.0, 2.0, 3.0]), near)
    assert [(each.lead, sorted(each.members)) for each in found] == [(1, [0, 1, 2]), (3, [3])]


def test_average_precision_of_loci_is_as_worked_by_hand():
    score = script("_recovery_score")
    ranked = [locus(0), locus(5), locus(1, 2), locus(3), locus(6), locus(4)]
    causes = [lone(0), lone(1), lone(2), lone(4), lone(9)]
    said = score.claims(ranked, causes)
    assert list(said.new) == [1, 0, 2, 0, 0, 1]
    assert not said.duplicate.any()
    # precisions 1, 2/3 (finds two), 3/6; the fifth cause is never found
    expected = (1 + 2 * 2 / 3 + 3 / 6) / 5
    assert score.average_precision(said) == pytest.approx(expected)


def test_a_locus_that_sees_claimed_causes_alone_counts_neither_way_or_as_false():
    score, cause = script("_recovery_score"), script("_trial").Cause
    # markers 1 and 2 are in LD with the cause 0, marker 7 is a transcript like transcript 8
    causes = [
        cause(np.array([0]), np.array([1, 2]), np.zeros(0, int)),
        cause(np.array([8]), np.zeros(0, int), np.array([7])),
    ]
    said = score.claims([locus(1), locus(2), locus(7), locus(8), locus(3)], causes)
    assert list(said.new) == [1, 0, 0, 1, 0]
    assert list(said.duplicate) == [False, True, True, False, False]
    assert score.average_precision(said) == 1
    assert score.average_precision(said, duplicates_false=True) == pytest.approx((1 + 2 / 4) / 2)
    found = score.discoveries(said, 5)
    shares = {"fdp": 1 / 3, "fdp_strict": 3 / 5, "fdp_unlinked": 1 / 3}
    assert found == {"selected": 5, "power": 1.0, **shares}
    assert score.discoveries(said, 0) == {"selected": 0, "power": 0} | dict.fromkeys(shares, 0)
    weak = np.ones(5, bool)  # what is weak leaves no false one, and takes no true one away
    assert score.discoveries(said, 5, weak) == found | {"fdp_unlinked": 0}


def test_a_marker_in_ld_of_a_cause_hits_as_a_lead_and_not_as_a_member():
    score, cause = script("_recovery_score"), script("_trial").Cause
    causes = [cause(np.array([0]), np.array([1]), np.zeros(0, int))]
    assert list(score.claims([locus(3, 1)], causes).new) == [0]
    assert list(score.claims([locus(1, 3)], causes).new) == [1]


def test_peers_select_loci_by_bonferroni_within_and_benjamini_hochberg_between():
    score = script("_recovery_score")
    p_value = np.array([0.01, 0.5, 0.09, 0.5, 0.4])
    ranked = [locus(0, 1, 3), locus(2), locus(4)]  # least p-values 0.03, 0.09, 0.4
    assert score.selected_by_p(ranked, p_value, fdr=0.1) == 1
    assert score.selected_by_p(ranked, p_value, fdr=0.15) == 2


def test_coverage_counts_loci_that_hold_a_cause_of_one_marker():
    coverage = script("_recovery_score").coverage
    selected = [locus(0, 1, 2), locus(3, 4), locus(5, 6), locus(7), locus(8, 9)]
    sets = [np.array(names) for names in ([0, 1], [3], [5, 6], [7], [9])]
    # the second set misses its cause; the third locus holds none, the fourth has one marker, and
    # what the fifth holds is a gene's burden
    causes = [lone(1), lone(4), lone(7), lone(8, 9)]
    found = coverage(selected, sets, causes)
    assert found == {"loci": 2, "covered": 0.5, "size": 1.5, "markers": 2.5}
    assert coverage(selected, sets, [lone(99)]) is None


def test_sets_of_the_benchmark_are_the_credible_sets():
    rows = pd.DataFrame({"marker": list("abcd"), "credible": [0.2, 0.75, 0.04, 0.01]})
    assert script("_ours")._most(rows, "credible").tolist() == ["b", "a"]


def test_concordance_counts_comparable_pairs():
    concordance = script("_recovery_score").concordance
    time, event = [1.0, 2.0, 3.0], [1, 0, 1]
    # the pairs (1, 2) and (1, 3) are comparable; equal risks count one half
    assert concordance(time, event, np.array([3.0, 1.0, 2.0])) == 1
    assert concordance(time, event, np.array([1.0, 1.0, 2.0])) == 0.25


def cell(contender: str, replicate: int, ap: float, **more: float) -> dict:
    place = {"regime": "products", "h2": 0.2, "variants": 2000, "replicate": replicate}
    return {**place, "contender": contender, "ap": ap, "ap_strict": ap, **more}


def test_genodl_is_held_to_the_best_peer_of_the_same_replicates():
    table = script("_recovery_table")
    cells = [cell("genodl", 0, 0.9), cell("genodl", 1, 0.7), cell("genodl", 2, 0.1)]
    cells += [cell("a", 0, 0.5), cell("a", 1, 0.7), cell("b", 0, 0.9), cell("b", 1, 0.2)]
    cells += [{**cell("c", 0, 0), "ap": None, "ap_strict": None, "skipped": "absent"}]
    (entry,) = table.summary(cells)
    assert entry["skipped"] == {"c": "absent"}
    against = entry["against"]["ap"]
    assert against["best_peer"] == "a"
    assert against["ratio"] == pytest.approx(0.8 / 0.6)
    assert against["difference"]["mean"] == pytest.approx(0.2)
    judged = table.criteria([entry], quick=False)
    bounds = [
        judged[f"products, h2 0.2, 2000 variants: {m} over the best peer's"]
        for m in ("ap", "ap_untold")
    ]
    assert [bound["at_least"] for bound in bounds] == [0.98, 1.3]
    assert not judged["products, h2 0.2, 2000 variants: ap"]["met"]
    assert "settings in which the network wins" not in judged


def test_the_network_wins_where_its_gain_is_certain():
    table = script("_recovery_table")
    cells = [cell("genodl", r, 0.8 + 0.01 * r) for r in range(4)]
    cells += [cell("genodl_products", r, 0.5) for r in range(4)]
    (entry,) = table.summary(cells)
    assert list(entry["against"]) == ["ap_network"]
    assert table.criteria([entry], quick=False)["settings in which the network wins"]["found"] == 1
    parts = table.ablation([entry])[0]["ap"]
    assert parts == pytest.approx({"genodl": 0.815, "genodl_products": 0.5})


def test_the_probability_of_genes_is_held_to_how_many_are_causal():
    genes = script("genes")
    told = pd.Series([np.nan, 0.01, 0.5, 0.6, 1.0])
    one = genes.said(told, np.array([False, False, True, False, True]))
    assert [row[0] for row in one] == [1, 1, 0, 0, 2, 0, 1]
    found = genes.reliability([{"said": one}, {"said": one}, {}])
    assert [row["genes"] for row in found] == [2, 2, 4, 2]
    assert [row["causal"] for row in found] == [0, 0, 0.5, 1]
    assert [row["mean"] for row in found] == pytest.approx([0, 0.01, 0.55, 1.0])
    assert genes.reliability([{}]) == []


def test_cells_join_those_of_earlier_runs(tmp_path):
    table, path = script("_recovery_table"), tmp_path / "cells.tsv"
    earlier = [cell("genodl", r, 0.5, revision=3, commit="a") for r in range(2)]
    assert len(table.recorded(earlier, path)) == 2
    again = [cell("genodl", 1, 0.7, revision=3, commit="b"), cell("a", 1, 0.123456)]
    again += [{**cell("genodl", 0, 0), "ap": None, "skipped": "absent"}]
    joined = table.recorded(again, path)
    found = [(c["contender"], c["replicate"], c["ap"]) for c in joined]
    assert found == [("genodl", 0, 0.5), ("a", 1, 0.12346), ("genodl", 1, 0.7)]
    (entry,) = table.summary(joined)
    assert entry["contenders"]["genodl"]["ap"]["mean"] == pytest.approx(0.6)
    assert pd.DataFrame(table.recorded([], path)).equals(pd.DataFrame(joined))


def test_the_figure_has_a_row_a_regime(tmp_path):
    cells = [cell("genodl", r, 0.8 + 0.01 * r) for r in range(2)] + [cell("a", 0, 0.5)]
    cells += [{**each, "h2": 0.4, "regime": "mixed"} for each in cells]
    path = tmp_path / "recovery.png"
    script("_recovery_figure").draw_recovery(script("_recovery_table").summary(cells), path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_an_interval_is_students():
    found = script("_recovery_table").interval([1.0, 2.0, 3.0, None])
    half = 4.302652729911275 / np.sqrt(3)
    assert found == pytest.approx({"mean": 2, "low": 2 - half, "high": 2 + half, "n": 3})
    assert script("_recovery_table").interval([1.0]) == {
        "mean": 1,
        "low": None,
        "high": None,
        "n": 1,
    }


@pytest.fixture(scope="module")
def people():
    """People like those of a replicate, without the coalescent: blocks of correlated variants."""
    cohorts = script("_cohorts")
    rng = np.random.default_rng(901)

    def variants(count: int, low: float, high: float, gene: np.ndarray):
        share = np.repeat(rng.uniform(low, high, count // 2), 2)
        twin = rng.random((cohorts.SAMPLES, 2, count // 2)).repeat(2, axis=2)
        own = rng.random((cohorts.SAMPLES, 2, count))
        mixed = np.where(rng.random(own.shape) < 0.8, twin, own)
        dosage = (mixed < share).sum(axis=1).astype(np.int8)
        contig = np.sort(np.arange(count) * 4 // count).astype(str)
        return cohorts.Variants(dosage, contig, np.arange(count) * 2000 + 1, gene)

    plain = np.full(600, -1)
    rare = variants(200, 0.01, 0.019, np.repeat(np.arange(20), 10))
    typed, hidden = variants(600, 0.06, 0.45, plain), variants(600, 0.06, 0.45, plain)
    # hidden variants are copies of typed ones with errors, one base pair aside
    wrong = rng.random(typed.dosage.shape) < 0.1
    copied = np.where(wrong, hidden.dosage, typed.dosage)
    hidden = typed._replace(dosage=copied, pos=typed.pos + 1)
    other = np.random.default_rng(7)
    return cohorts.Draw(typed, hidden, rare, cohorts._expression(other), cohorts._samples(other))


@pytest.mark.parametrize("name", script("_regimes").REGIMES)
def test_a_regime_has_the_heritability_asked_for_and_another_phenotype_each_time(name, people):
    made = {r: script("_trial").trial(name, people, h2=0.4, replicate=r) for r in (901, 902)}
    kind = script("_regimes").REGIMES[name].kind
    latent = np.pi**2 / 6 if kind == "survival" else 0.6
    for each in made.values():
        signal = each.signal.var()
        assert signal / (signal + latent) == pytest.approx(0.4, abs=1e-6)
        assert each.causes
    again = script("_trial").trial(name, people, h2=0.4, replicate=901)
    pd.testing.assert_frame_equal(again.samples, made[901].samples)
    column = "time" if kind == "survival" else "trait"
    if kind == "quantitative":
        table = made[901].samples
        design = np.column_stack(
            [np.ones(len(table)), made[901].signal, script("_contender").design(made[901])[:, 1:]]
        )
        left = table[column] - design @ np.linalg.lstsq(design, table[column], rcond=None)[0]
        # noise of variance 1 - h2, and the signal enters with slope 1
        assert left.var() == pytest.approx(0.6, rel=0.03)
    elif kind == "binary":
        prevalence = script("_regimes").REGIMES[name].prevalence
        assert made[901].samples["trait"].mean() == pytest.approx(prevalence, abs=0.002)
    else:
        assert made[901].samples["event"].mean() == pytest.approx(0.4, abs=0.01)
    assert not np.array_equal(made[901].samples[column], made[902].samples[column])


@pytest.mark.parametrize("name", script("_regimes").REGIMES)
def test_contenders_see_no_trace_of_the_causes(name, people):
    made = script("_trial").trial(name, people, h2=0.4, replicate=901)
    measured = {"time", "event"} if made.kind == "survival" else {"trait"}
    assert set(made.samples) == measured | set(made.covariates)
    assert len(set(made.names)) == len(made.names)
    if name == "untyped":
        assert not set(people.hidden.names) & set(made.names)
    # markers are the same whatever is planted
    other = script("_trial").trial(name, people, h2=0.4, replicate=902)
    np.testing.assert_array_equal(made.variants.dosage, other.variants.dosage)
    assert {len(c.within) for c in made.causes} != {0}


def test_pure_products_have_no_lower_orders():
    rng = np.random.default_rng(0)
    a, b, c = rng.integers(0, 3, (3, 500)).astype(float)
    found = script("_regimes")._pure(a, b, c)
    assert found.var() == pytest.approx(1)
    lower = np.stack([a, b, c, *[standard(x) * standard(y) for x, y in ((a, b), (a, c), (b, c))]])
    np.testing.assert_allclose(lower @ found, 0, atol=1e-8)


def standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def test_an_untyped_cause_is_found_through_its_tags(people):
    made = script("_trial").trial("untyped", people, h2=0.4, replicate=901)
    score = script("_recovery_score")
    for cause in made.causes:
        said = score.claims([locus(int(cause.within[0]))], [cause])
        assert list(said.new) == [1]


def test_a_fold_has_no_say_in_the_setting_it_is_predicted_with():
    fold = np.array([0, 0, 1, 1])
    loss = np.array([[0.0, 9], [0, 9], [5, 1], [5, 1]])
    predicted = np.tile([10.0, 20.0], (4, 1))
    best, held = script("_peer_lasso").chosen(predicted, loss, fold)
    assert best == 0
    assert list(held) == [20, 20, 10, 10]


def test_rounds_and_depth_are_chosen_by_the_groups_that_judge():
    curves = [np.array([[3.0, 2, 1], [3, 5, 9]]), np.array([[4.0, 4, 4], [1, 0, 1]])]
    best = script("_peer_trees")._best
    assert best(curves, np.array([0])) == (0, 3)
    assert best(curves, np.array([1])) == (1, 2)


@pytest.mark.long
@pytest.mark.parametrize("name", ["additive", "expression_u"])
def test_the_lasso_finds_what_is_strong_and_predicts_out_of_fold(name, people):
    made = script("_trial").trial(name, people, h2=0.4, replicate=901)
    said = script("recovery").scored(script("_peer_lasso").lasso(made, dominance=True), made)
    assert said["ap"] > 0.5
    assert said["prediction"] > 0.3


def gene_cohort(seed=0, *, samples=400, genes=8, effect=1.0):
    """Genes of three variants; of the first, each variant acts with a sign of its own."""
    cohorts = script("_gene_cohorts")
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, 0.3, (samples, 3 * genes)).astype(np.int8)
    trait = effect * dosage[:, :3] @ np.array([1.0, -1.0, 0.5]) + rng.standard_normal(samples)
    return cohorts.Genes(
        dosage=dosage,
        gene=np.repeat(np.arange(genes), 3),
        pos=np.arange(3 * genes) * 1_000 + 1,
        trait=trait,
        causal=np.arange(genes) == 0,
        block=np.arange(genes),
        sets=[],
        causal_sets=np.zeros(0, bool),
    )


@pytest.mark.parametrize("kernel", ["linear", "quadratic"])
def test_skat_has_the_p_value_of_permutations(kernel):
    peers = script("_gene_peers")
    made = gene_cohort(3, effect=0.11)
    x = peers.standardised(made.dosage[:, :3].astype(float))
    features = x if kernel == "linear" else peers.quadratic(x)
    e = made.trait - made.trait.mean()
    rng = np.random.default_rng(4)
    shuffled = np.stack([rng.permutation(e) for _ in range(10_000)], axis=1)
    slow = np.square(features.T @ shuffled).sum(0) >= np.square(features.T @ e).sum()
    assert np.exp(peers.skat(features, e)) == pytest.approx(slow.mean(), rel=0.15)


def test_the_quadratic_kernel_is_one_plus_the_linear_squared():
    peers = script("_gene_peers")
    x = peers.standardised(gene_cohort().dosage[:, :3].astype(float))
    found = peers.quadratic(x)
    centre = np.eye(len(x)) - 1 / len(x)
    wanted = centre @ np.square(1 + x @ x.T) @ centre
    np.testing.assert_allclose(found @ found.T, wanted, atol=1e-8)


def test_a_mixture_of_equal_weights_is_chi_squared():
    found = script("_gene_peers").log_mixture(30.0, np.full(5, 2.0))
    assert found == pytest.approx(stats.chi2.logsf(15.0, 5), rel=1e-6)


def test_the_burden_test_is_the_slope_on_the_number_of_minor_alleles():
    peers, made = script("_gene_peers"), gene_cohort(1, effect=0.2)
    e = made.trait - made.trait.mean()
    found = peers.burden(2 - made.dosage[:, :3], e, rarer=False)
    slope = stats.linregress(made.dosage[:, :3].sum(1), e)
    assert np.exp(found) == pytest.approx(slope.pvalue, rel=0.05)


@pytest.mark.long
def test_genes_of_a_cohort_are_ranked_by_genodl_and_its_discoveries_counted():
    found, counts = script("genes").ours(gene_cohort(2))
    assert found["genodl"].argmax() == 0
    assert found["forms_alone"].argmax() == 0
    assert len(found["genodl"]) == 8
    assert counts["true_clusters"] == counts["true_genes_found"] == 1
    assert counts["true_by_found_genes"] == 1


def test_replicates_of_a_regime_are_summed_up():
    runs = [
        {
            "precision": {"genodl": value, "network_alone": 0.0, "lasso": 0.5, "burden": 0.1},
            "clusters": found,
            "true_clusters": true,
            "true_by_found_genes": strictly,
            "cpu_seconds": {"genodl": 1.0},
        }
        for value, found, true, strictly in ((0.9, 4, 3, 2), (0.7, 0, 0, 0))
    ]
    said = script("genes").summary(runs)
    assert said["best_peer"] == "lasso"
    assert said["ratio"] == pytest.approx(1.6)
    assert said["realised_fdr"] == pytest.approx(0.125)
    assert said["realised_fdr_by_found_genes"] == pytest.approx(0.25)
    assert said["standard_error"] == pytest.approx(0.1)


def test_a_finished_replicate_is_not_run_again(tmp_path):
    kept = script("_record").kept
    assert kept(tmp_path / "a.json", lambda: {"x": 1}) == {"x": 1}
    assert kept(tmp_path / "a.json", lambda: {"x": 2}) == {"x": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


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
def test_every_benchmark_has_a_toy_size(name, monkeypatch, capsys):
    path = FOLDER / f"{name}.py"
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    monkeypatch.syspath_prepend(FOLDER)
    with pytest.raises(SystemExit) as stop:  # in this process, which has loaded what they import
        runpy.run_path(str(path), run_name="__main__")
    assert not stop.value.code
    assert "--quick" in capsys.readouterr().out
