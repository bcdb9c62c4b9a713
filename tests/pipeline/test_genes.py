"""Genes and pathways from end to end on planted cohorts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from genodl.errors import InputError
from genodl.pipeline.discovery import discover
from genodl.pipeline.genelevel import GENES
from genodl.pipeline.pathways import PATHWAYS
from genodl.values import Cohort

SAMPLES, COUNT, SIZE = 600, 30, 5
FAST = {"folds": 5, "members": 2, "checks": 1, "pair_markers": 0}


def haplotypes(rng, samples, variants):
    """Dosages in LD: each variant copies its left neighbour with probability 0.7."""
    alleles = (rng.random((2 * samples, variants)) < 0.3).astype(np.int8)
    for column in range(1, variants):
        kept = rng.random(2 * samples) < 0.7
        alleles[kept, column] = alleles[kept, column - 1]
    return alleles[:samples] + alleles[samples:]


def planted(seed: int, *, shape: str = "u", expression: bool = False):
    """Genes of five variants; G3 and G17 act by a U-shaped burden, or by expression."""
    rng = np.random.default_rng(seed)
    dosage = np.hstack([haplotypes(rng, SAMPLES, SIZE) for _ in range(COUNT)])
    ids = [f"s{i}" for i in range(SAMPLES)]
    place = np.arange(COUNT * SIZE)
    var = pd.DataFrame({"contig": (place // 50 + 1).astype(str), "pos": place % 50 * 100_000 + 1})
    var = var.assign(ref="A", alt="C", id=".").set_index(pd.Index([f"v{i}" for i in place]))
    signal = np.zeros(SAMPLES)
    if shape == "u":
        for gene in (3, 17):
            burden = dosage[:, gene * SIZE : (gene + 1) * SIZE].sum(1)
            burden = (burden - burden.mean()) / burden.std()
            signal += burden**2
    obs = pd.DataFrame(index=pd.Index(ids))
    modalities = {"variants": AnnData(dosage, obs=obs, var=var)}
    if expression:
        values = rng.standard_normal((SAMPLES, COUNT)).astype(np.float32)
        signal = signal + 1.5 * values[:, 9]
        names = pd.DataFrame(index=[f"G{i}" for i in range(COUNT)])
        modalities["expression"] = AnnData(values, obs=obs, var=names)
    trait = signal + rng.standard_normal(SAMPLES) * (2.0 if shape == "u" else 1.0)
    samples = pd.DataFrame({"trait": trait, "site": rng.integers(0, 2, SAMPLES)}, index=ids)
    first = np.arange(COUNT) * SIZE
    genes = pd.DataFrame(
        {
            "contig": [f"chr{c}" for c in var["contig"].iloc[first]],
            "start": var["pos"].iloc[first].to_numpy(),
            "end": var["pos"].iloc[first + SIZE - 1].to_numpy(),
            "gene": [f"G{i}" for i in range(COUNT)],
        }
    )
    return Cohort(modalities, samples), genes


SETS = {"hit": ["G3", "G17", "G5", "absent"], **{f"S{i}": [f"G{i}", f"G{i + 6}"] for i in (20, 22)}}


@pytest.fixture(scope="module")
def found():
    cohort, genes = planted(0)
    return discover(cohort, phenotype="trait", genes=genes, pathways=SETS, **FAST)


def test_genes_with_a_u_shaped_burden_are_found_and_little_else(found):
    assert set(found.genes["gene"].head(2)) == {"G3", "G17"}
    assert (found.genes["q_value"].head(2) < 1e-3).all()
    assert (found.genes["q_value"] < 0.1).sum() <= 4


def test_the_pathway_that_holds_them_is_first(found):
    assert found.pathways["pathway"].tolist()[0] == "hit"
    assert found.pathways["q_value"].iloc[0] < 1e-3 < found.pathways["q_value"].iloc[1]
    assert found.pathways["n_genes"].iloc[0] == 3
    assert found.pathways["lead_gene"].iloc[0] in ("G3", "G17")


def test_the_tables_have_the_columns_of_the_contract_in_order(found):
    assert list(found.genes.columns) == GENES
    contract = "phenotype rank gene contig start end n_markers score p_value q_value"
    assert " ".join(GENES[:10]) == contract
    assert list(found.pathways.columns) == PATHWAYS
    assert found.genes["rank"].tolist() == list(range(1, COUNT + 1))
    assert found.genes["probability"].is_monotonic_decreasing
    assert set(found.genes["gene"][found.genes["probability"] > 0.9]) == {"G3", "G17"}
    assert (found.genes["n_markers"] == SIZE).all()


def test_the_networks_are_those_with_a_branch_a_gene(found):
    assert found.run["config"]["model"] == "pathway"
    assert found.ensembles["trait"].network.name == "pathway"
    assert found.genes.set_index("gene").loc["G3", "p_network"] < 0.01
    assert found.calibration["self_check"]["genes"]["n_p_values"] == COUNT


@pytest.mark.long
def test_genes_change_nothing_of_the_markers_where_no_network_is_trained():
    cohort, genes = planted(1)
    settings = FAST | {"members": 0}
    with_genes = discover(cohort, phenotype="trait", genes=genes, **settings)
    without = discover(cohort, phenotype="trait", **settings)
    pd.testing.assert_frame_equal(with_genes.markers, without.markers)
    assert without.genes is None
    assert without.pathways is None


@pytest.mark.long
def test_the_same_seed_gives_the_same_genes(found):
    cohort, genes = planted(0)
    again = discover(cohort, phenotype="trait", genes=genes, pathways=SETS, **FAST)
    pd.testing.assert_frame_equal(again.genes, found.genes)


def test_a_gene_is_tested_by_its_expression_alone():
    cohort, genes = planted(2, shape="none", expression=True)
    alone = Cohort({"expression": cohort.modalities["expression"]}, cohort.samples)
    found = discover(alone, phenotype="trait", genes=genes, **FAST | {"members": 0, "checks": 0})
    assert found.genes["gene"].iloc[0] == "G9"
    assert (found.genes["n_markers"] == 1).all()


def test_a_gene_in_ld_with_a_leading_one_is_tested_given_it_and_shares_its_cluster():
    cohort, genes = planted(3)
    # two genes over the same variants, and one over a part of them
    twin = genes.iloc[[3]].assign(gene="TWIN")
    part = genes.iloc[[3]].assign(gene="PART", end=genes["start"][3] + 200_000)
    table = pd.concat([genes, twin, part], ignore_index=True)
    found = discover(cohort, phenotype="trait", genes=table, **FAST | {"members": 0, "checks": 0})
    rows = found.genes.set_index("gene")
    assert rows.loc[["G3", "TWIN", "PART"], "cluster"].nunique() == 1
    assert (rows.loc[["G3", "TWIN", "PART"], "p_value"] < 1e-6).sum() == 1


def test_a_set_of_genes_without_markers_is_left_out_and_counted():
    cohort, genes = planted(4)
    sets = SETS | {"lone": ["G1"], "nowhere": ["X", "Y"]}
    found = discover(
        cohort, phenotype="trait", genes=genes, pathways=sets, **FAST | {"members": 0, "checks": 0}
    )
    assert set(found.pathways["pathway"]) == set(SETS)
    assert any(note.startswith("2 of 5 gene sets") for note in found.run["genes"]["notes"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"pathways": SETS}, "--pathways: is given without genes"),
        ({"gene_window": 10}, "--gene-window: is given without genes"),
        ({"model": "pathway"}, "its branches are genes, and none are given"),
        ({"genes": "nowhere.tsv"}, "nowhere.tsv: no such file"),
        ({"genes": pd.DataFrame({"gene": ["A"]})}, "genes: no column 'contig'"),
    ],
)
def test_a_fault_of_the_annotation_is_named_in_one_line(given, said):
    cohort, _ = planted(5)
    with pytest.raises(InputError) as caught:
        discover(cohort, phenotype="trait", **given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sets_that_share_no_gene_with_the_table_are_a_fault():
    cohort, genes = planted(5)
    with pytest.raises(InputError, match="none of the genes of its 1 sets is in the gene table"):
        discover(cohort, phenotype="trait", genes=genes, pathways={"S": ["X"]})


def test_genes_of_another_build_are_named_before_anything_is_learnt(monkeypatch):
    cohort, genes = planted(5)
    elsewhere = genes.assign(start=genes["start"] + 10**9, end=genes["end"] + 10**9)
    monkeypatch.setattr("genodl.pipeline.discovery.screen", None)  # would be called next
    with pytest.raises(InputError, match="no marker lies in one of the 30 genes"):
        discover(cohort, phenotype="trait", genes=elsewhere)


@pytest.mark.slow
def test_null_genes_in_strong_ld_have_uniform_p_values():
    cohort, genes = planted(6, shape="none")
    noise = np.random.default_rng(7).standard_normal((SAMPLES, 60))
    samples = cohort.samples.assign(**{f"n{i}": noise[:, i] for i in range(60)})
    found = discover(
        Cohort(cohort.modalities, samples),
        phenotype=[f"n{i}" for i in range(60)],
        genes=genes,
        **FAST | {"checks": 0},
    )
    p = found.genes["p_value"]
    assert 0.035 < (p < 0.05).mean() < 0.065
    assert (p < 0.01).mean() < 0.016
