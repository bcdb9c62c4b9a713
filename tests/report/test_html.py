"""The page: self-contained, escaped, complete, the same each time."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from fake_result import ODD, write_result

from genodl.errors import InputError
from genodl.report import html, render

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """What a browser would see: balanced tags, text, images and every address."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.images, self.addresses, self.tags = [], [], [], [], set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.add(tag)
        self.addresses += [values[k] for k in ("src", "href") if k in values]
        if tag == "img":
            self.images.append(values)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_result(
        tmp_path_factory.mktemp("result"),
        phenotypes=("drug <1>, a:b", "case & control"),
        predictions=True,
        passed=False,
    )
    genes = {"phenotype": ["drug <1>, a:b"], "rank": [1], "gene": ["TP<53>"], "p_value": [1e-9]}
    pd.DataFrame(genes).to_csv(folder / "genes.tsv", sep="\t", index=False)
    pairs = {"marker_a": ["1:2:A:<DEL>"], "marker_b": [ODD], "p": [0.01], "q": [0.2]}
    pd.DataFrame(pairs).to_csv(folder / "interactions.tsv", sep="\t", index=False)
    render(folder)
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_the_page_needs_no_network_and_no_script(page):
    assert all(a.startswith(("data:image/", "#")) for a in page.addresses)
    assert not {"script", "link", "iframe"} & page.tags


def test_every_image_is_inlined_whole_and_has_words(page):
    assert len(page.images) == 11  # an overview, and five of each phenotype
    for image in page.images:
        data = base64.b64decode(image["src"].split("base64,")[1], validate=True)
        assert data.startswith((b"\x89PNG", b"<?xml"))
        assert len(image["alt"]) > 20


def test_names_are_escaped_and_shown_as_they_stand(page):
    for name in (ODD, "drug <1>, a:b", "case & control", "TP<53>", "1:2:A:<DEL>"):
        assert name in page.words
    assert not {"b", "del", "i"} & (page.tags - {"b"})


def test_links_inside_the_page_reach_their_sections(folder):
    text = (folder / "report.html").read_text(encoding="utf-8")
    targets = re.findall(r'href="#([^"]+)"', text)
    assert targets == ["phenotype-1", "phenotype-2"]
    assert all(f'id="{target}"' in text for target in targets)


def test_figures_stand_beside_the_page(folder):
    names = sorted(p.name for p in (folder / "figures").iterdir())
    assert "overview.png" in names
    kinds = ("association", "performance", "predictions", "quantiles", "stability")
    assert all(f"001_drug_1_a_b_{kind}.png" in names for kind in kinds)
    assert all(f"002_case_control_{kind}.png" in names for kind in kinds)
    assert not [name for name in names if name.endswith(".part")]


@pytest.mark.parametrize(
    "said",
    [
        "For research, not for treatment decisions.",
        "The self-check failed",
        "call rate < 0.9",
        "cohort & co.vcf.gz",
        "ab" * 32,
        "screen.k",
        "Top genes",
        "Top interactions",
        "11 of 20",
        "loci at FDR 10 %",
    ],
)
def test_the_page_says(page, said):
    assert said in page.words


def test_rendering_again_gives_the_same_bytes(folder):
    files = [folder / "report.html", *sorted((folder / "figures").iterdir())]
    before = [f.read_bytes() for f in files]
    render(folder)
    assert [f.read_bytes() for f in files] == before


def test_tables_are_bounded_and_say_what_they_leave_out(page):
    assert "50 of 550 shown." in page.words


def test_only_the_strongest_of_many_phenotypes_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(html, "MOST_PICTURED", 1)
    names = ("weak", "strong", "none")
    write_result(tmp_path, phenotypes=names, variants=30, expression=10, hits=1)
    path = tmp_path / "loci.tsv"
    loci = pd.read_csv(path, sep="\t")
    loci.loc[loci["phenotype"] == "none", "q_value"] = 0.9
    loci.loc[(loci["phenotype"] == "strong") & (loci["rank"] == 1), "q_value"] = 1e-30
    loci.to_csv(path, sep="\t", index=False)
    page = Page(render(tmp_path).read_text(encoding="utf-8"))
    assert len(page.images) == 1 + 4
    assert {f.name[:10] for f in (tmp_path / "figures").iterdir()} == {
        "overview.p",
        "overview.s",
        "002_strong",
    }
    assert "the other 2 have tables only" in page.words
    assert "2 of 3 phenotypes have a locus" in page.words


def test_a_dbsnp_number_is_shown_as_text(tmp_path):
    write_result(tmp_path, variants=20, expression=0)
    path = tmp_path / "markers.tsv"
    markers = pd.read_csv(path, sep="\t")
    markers["id"] = np.where(np.arange(20) == 0, "rs121913529", "")
    markers.to_csv(path, sep="\t", index=False)
    page = Page(render(tmp_path).read_text(encoding="utf-8"))
    assert "dbSNP" in page.words
    assert "rs121913529" in page.words
    assert not any("rs121913529" in a for a in page.addresses)


def test_a_folder_that_cannot_be_written_keeps_its_page(tmp_path):
    write_result(tmp_path, variants=20, expression=0)
    (tmp_path / "report.html").write_text("earlier")
    (tmp_path / "figures").write_text("a file in the way")
    with pytest.raises(InputError, match="cannot be written"):
        render(tmp_path)
    assert (tmp_path / "report.html").read_text() == "earlier"


def test_importing_the_report_loads_no_plotting_and_rendering_no_pyplot(tmp_path):
    write_result(tmp_path, variants=20, expression=0)
    code = (
        "import sys, genodl.report as r; assert 'matplotlib' not in sys.modules;"
        "r.render(sys.argv[1]); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
