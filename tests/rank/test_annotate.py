"""Markers find their genes by position or by name, whichever they have."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from genodl.errors import InputError
from genodl.rank.annotate import membership

GENES = pd.DataFrame(
    [("chr1", 100, 200, "A"), ("chr1", 180, 300, "B"), ("chr2", 50, 60, "C"), ("chrM", 5, 9, "M1")],
    columns=["contig", "start", "end", "gene"],
)


def variants(*places: tuple[str, int]) -> pd.DataFrame:
    table = pd.DataFrame(places, columns=["contig", "pos"])
    return table.set_index(pd.Index([f"{c}:{p}" for c, p in places]))


def pairs(found) -> set[tuple[str, str, int]]:
    names = found.genes["gene"].to_numpy()[found.gene]
    return set(zip(names, found.modality, found.column.tolist(), strict=True))


def test_both_ends_of_a_gene_belong_to_it_and_what_lies_beyond_does_not():
    places = variants(("chr1", 99), ("chr1", 100), ("chr1", 200), ("chr1", 201))
    found = membership(GENES.iloc[:1], {"variants": places})
    assert pairs(found) == {("A", "variants", 1), ("A", "variants", 2)}
    assert found.genes["n_markers"].tolist() == [2]
    assert "2 of 4 markers of variants belong to no gene" in found.notes


def test_a_window_widens_a_gene_on_both_sides():
    places = variants(("chr1", 89), ("chr1", 90), ("chr1", 210), ("chr1", 211))
    found = membership(GENES.iloc[:1], {"variants": places}, window=10)
    assert pairs(found) == {("A", "variants", 1), ("A", "variants", 2)}


def test_a_marker_in_two_genes_is_in_each():
    found = membership(GENES, {"variants": variants(("chr1", 190))})
    assert pairs(found) == {("A", "variants", 0), ("B", "variants", 0)}


@pytest.mark.parametrize(("contig", "gene"), [("2", "C"), ("chr2", "C"), ("MT", "M1")])
def test_contigs_are_the_same_with_a_prefix_and_without(contig, gene):
    found = membership(GENES, {"variants": variants((contig, 55 if gene == "C" else 6))})
    assert found.genes["gene"].tolist() == [gene]
    assert any("spelt" in note for note in found.notes) == (contig != "chr2")


def test_expression_and_alterations_join_by_name():
    table = pd.DataFrame(
        [("17", 1, 2, g) for g in ("TP53", "NCK1", "STAG1", "HLA-A", "BCR", "ABL", "MDM2")],
        columns=["contig", "start", "end", "gene"],
    )
    names = ["TP53_mut", "gain_cna1_(NCK1,STAG1)", "HLA-A", "BCR-ABL_mut", "loss_cna7", "MDM20"]
    found = membership(
        table, {"expression": pd.DataFrame(index=["MDM2"]), "cna": pd.DataFrame(index=names)}
    )
    assert pairs(found) == {
        ("TP53", "cna", 0),
        ("NCK1", "cna", 1),
        ("STAG1", "cna", 1),
        ("HLA-A", "cna", 2),
        ("BCR", "cna", 3),
        ("ABL", "cna", 3),
        ("MDM2", "expression", 0),
    }


def test_a_name_at_two_places_is_one_gene_without_what_lies_between():
    table = pd.DataFrame(
        [("1", 10, 20, "U6"), ("1", 80, 90, "U6")], columns=["contig", "start", "end", "gene"]
    )
    found = membership(table, {"variants": variants(("1", 15), ("1", 50), ("1", 85))})
    assert pairs(found) == {("U6", "variants", 0), ("U6", "variants", 2)}
    assert found.genes[["start", "end"]].to_numpy().tolist() == [[10, 90]]


def test_the_join_agrees_with_looking_at_every_pair():
    rng = np.random.default_rng(1)
    start = rng.integers(1, 900, 60)
    table = pd.DataFrame(
        {
            "contig": rng.choice(["1", "2"], 60),
            "start": start,
            "end": start + rng.integers(0, 99, 60),
            "gene": [f"g{i}" for i in range(60)],
        }
    )
    places = variants(*zip(rng.choice(["1", "2"], 300), rng.integers(1, 1000, 300), strict=True))
    found = membership(table, {"variants": places}, window=7)
    slow = {
        (g.gene, "variants", j)
        for g in table.itertuples()
        for j, v in enumerate(places.itertuples())
        if g.contig == v.contig and g.start - 7 <= v.pos <= g.end + 7
    }
    assert pairs(found) == slow
    assert (np.diff(found.gene) >= 0).all()


def test_genes_that_hold_nothing_are_a_fault_in_one_line():
    with pytest.raises(InputError, match=r"^--genes: no marker lies in one of the 4 genes"):
        membership(GENES, {"variants": variants(("7", 5))})
    with pytest.raises(InputError, match="gene-window"):
        membership(GENES, {"variants": variants(("1", 150))}, window=-1)
