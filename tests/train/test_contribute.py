"""What genes and pathways add: exactly the predictions, under their names, saved with them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from genodl.errors import InputError
from genodl.train import Resume, TrainConfig, checkpoint, contributions, fit_ensemble, predict
from genodl.values import Cohort

SHORT = TrainConfig(rounds=6, steps=4)
SETTINGS = {
    "membership": np.kron(np.eye(4, dtype=bool), np.ones((3, 1), bool)),
    "pathways": np.array([[1, 0], [1, 1], [1, 0], [0, 1]], bool),
    "gene_names": np.array(["BRAF", "KRAS", "TP53", "MDM2"], object),
    "pathway_names": ["growth", "repair"],
}


@cache
def fitted(outputs=(), resume=None):
    """Two tasks, and their rows."""
    x = np.random.default_rng(0).standard_normal((2, 90, 12)).astype("f4") * 3 + 1
    y = (x[..., 0] + x[..., 3]) ** 2 + 5
    y = y if not outputs else np.stack([y, x[..., 9] * 7], axis=2)
    given = {"members": 2, "seed": 0, "config": SHORT, "resume": resume}
    return fit_ensemble("pathway", SETTINGS, x, y, np.ones(x.shape[:2]), **given), x


@pytest.mark.parametrize("outputs", [(), pytest.param((2,), marks=pytest.mark.long)])
def test_they_add_up_to_the_predictions(outputs):
    ensemble, x = fitted(outputs)
    found = contributions(ensemble, x, batch=40)
    assert found.genes.shape == (2, 90, 4, *outputs)
    assert found.pathways.shape == (2, 90, 2, *outputs)
    assert found.pathways.std(axis=1).max() > 1e-3
    total = found.genes.sum(axis=2) + found.pathways.sum(axis=2) + found.offset[:, None]
    assert_allclose(total, predict(ensemble, x), rtol=1e-4, atol=1e-4)


def test_what_hears_nothing_of_a_change_adds_the_same():
    ensemble, x = fitted()
    before, moved = contributions(ensemble, x), x.copy()
    moved[:, :, :3] += 1
    after = contributions(ensemble, moved)
    genes, pathways = after.genes != before.genes, after.pathways != before.pathways
    assert np.array(before.gene_names)[genes.any(axis=(0, 1))].tolist() == ["BRAF"]
    assert np.array(before.pathway_names)[pathways.any(axis=(0, 1))].tolist() == ["growth"]


def test_rows_that_are_none_give_none():
    ensemble, x = fitted()
    assert contributions(ensemble, x[:, :0]).genes.shape == (2, 0, 4)


def test_sets_and_names_are_saved_and_training_goes_on(tmp_path):
    ensemble, x = fitted()
    checkpoint.save(ensemble, tmp_path / "model")
    restored = checkpoint.restore(tmp_path / "model")
    assert restored.network == ensemble.network
    for kept, before in zip(contributions(restored, x), contributions(ensemble, x), strict=True):
        assert_array_equal(kept, before)
    again, _ = fitted(resume=Resume(tmp_path / "states", every=4))
    assert_array_equal(predict(again, x), predict(ensemble, x))


def test_a_model_whose_units_are_not_genes_is_refused():
    x = np.random.default_rng(0).standard_normal((1, 40, 3)).astype("f4")
    ensemble = fit_ensemble(
        "linear", {}, x, x[..., 0], np.ones((1, 40)), members=1, seed=0, config=SHORT
    )
    with pytest.raises(InputError, match="the model is linear"):
        contributions(ensemble, x)
    with pytest.raises(InputError, match="contributions: x is"):
        contributions(fitted()[0], x)


@pytest.mark.slow
def test_the_square_of_two_genes_is_foretold_better_with_their_set():
    rng = np.random.default_rng(31)
    x = rng.standard_normal((3, 800, 60)).astype("f4")  # 20 genes of three markers, in sets of four
    burden = x.reshape(3, 800, 20, 3).sum(axis=3) / np.sqrt(3)
    signal = (burden[..., 1] + burden[..., 2]) ** 2
    y = signal + rng.standard_normal(signal.shape) * np.sqrt(2)
    weight = np.ones(y.shape, "f4")
    weight[:, ::4] = 0
    membership = np.kron(np.eye(20, dtype=bool), np.ones((3, 1), bool))
    sets = np.kron(np.eye(5, dtype=bool), np.ones((4, 1), bool))

    def explained(**settings):
        settings = {"membership": membership, **settings}
        ensemble = fit_ensemble("pathway", settings, x, y, weight, members=2, seed=0)
        held = predict(ensemble, x)[:, ::4]
        return ensemble, [
            np.corrcoef(p, s)[0, 1] ** 2 for p, s in zip(held, signal[:, ::4], strict=True)
        ]

    without, (ensemble, found) = explained()[1], explained(pathways=sets)
    assert max(without) < 0.6  # the squares of the two, without their product, are a half
    assert min(found) > max(without) + 0.1
    spread = contributions(ensemble, x).pathways[:, ::4].std(axis=1)
    assert (spread.argmax(axis=1) == 0).all()
    assert (spread[:, 1:].max(axis=1) < 0.2 * spread[:, 0]).all()


GTF = """\
1\tx\tgene\t1\t100\t.\t+\t.\tgene_id "G1"; gene_name "BRAF";
1\tx\tgene\t200\t300\t.\t+\t.\tgene_id "G2"; gene_name "KRAS";
"""


@pytest.mark.long
def test_the_example_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("genes.gtf").write_text(GTF)
    Path("sets.gmt").write_text("growth\t\tBRAF\tKRAS\nrepair\t\tKRAS\tTP53\n")
    var = pd.DataFrame({"contig": ["1"] * 3, "pos": [10, 90, 250], "ref": "A", "alt": "C"})
    var.index = ["a", "b", "c"]
    x = np.random.default_rng(0).standard_normal((1, 60, 3)).astype("f4")
    names = pd.Index([f"s{i}" for i in range(60)])
    variants = ad.AnnData(x[0], obs=pd.DataFrame(index=names), var=var)
    cohort = Cohort({"variants": variants}, pd.DataFrame(index=names))
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    section = text.split("### Train networks of your own")[1].split("\n## ")[0]
    code = section.split("```python\n")[3].split("```")[0].replace("members=8", "members=1")
    given = {"cohort": cohort, "x": x, "y": x[..., 0], "weight": np.ones((1, 60))}
    given |= {"np": np, "pd": pd, "fit_ensemble": fit_ensemble}
    exec(code, given)
    assert given["belongs"].tolist() == [[True, False], [True, False], [False, True]]
    assert given["settings"]["pathways"].tolist() == [[True, False], [True, True]]
    assert given["found"].gene_names == ("BRAF", "KRAS")
    assert given["found"].pathway_names == ("growth", "repair")
