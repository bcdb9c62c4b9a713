"""The Snakemake workflow plans, refuses bad settings, and finds what the single command finds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from genodl import simulate

FOLDER = Path(__file__).resolve().parents[1] / "workflows" / "marker-discovery"
SNAKEMAKE = shutil.which("snakemake")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SNAKEMAKE is None, reason="snakemake is absent: pip install 'snakemake>=9'"),
]
OPTIONS = ["--covariates", "age,sex,site", "--folds", "3", "--members", "2", "--checks", "1"]
CONFIG = """
variants:
  source: data/variants.vcf.gz
  contigs: ["1", "2"]
samples: data/samples.tsv
tables:
  expression: data/expression.h5ad
discover:
  phenotype: [response, response_binary]
  covariates: age,sex,site
  folds: 3
  members: 2
  checks: 1
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a toy cohort and settings that point at it."""
    folder = tmp_path_factory.mktemp("workflow")
    made = simulate.cohort(seed=1, samples=200, variants=300, genes=40, contigs=("1", "2"))
    simulate.write(made, folder / "data")
    configure(folder, CONFIG)
    return folder


def configure(folder: Path, text: str) -> None:
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config" / "config.yaml").write_text(text)


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess:
    own = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": os.pathsep.join([own, os.environ["PATH"]])}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )


def snakemake(folder: Path, *options: str) -> subprocess.CompletedProcess:
    snakefile = str(FOLDER / "workflow" / "Snakefile")
    return run([str(SNAKEMAKE), "--snakefile", snakefile, *options], folder)


def planned(done: subprocess.CompletedProcess) -> list[str]:
    """The commands of a dry run, in order of their text."""
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (done.stdout + done.stderr).splitlines()
    commands = [line.removeprefix("Shell command: ") for line in lines if "Shell command:" in line]
    return sorted(command for command in commands if command != "None")


def test_every_rule_is_one_command(place):
    commands = planned(snakemake(place, "--cores", "1", "--dry-run", "--printshellcmds"))
    assert [command.split()[:2] for command in commands] == [
        ["genodl", "discover"],
        ["genodl", "ingest"],
        ["genodl", "ingest"],
        ["genodl", "report"],
    ]
    assert "--phenotype response --phenotype response_binary" in commands[0]
    assert commands[0].count("--variants ") == 2
    assert "--region 2" in commands[2]


def test_the_settings_shipped_plan_four_contigs(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("variants.vcf.gz", "samples.tsv", "expression.h5ad"):
        (tmp_path / "data" / name).touch()
    configure(tmp_path, (FOLDER / "config" / "config.yaml").read_text())
    commands = planned(snakemake(tmp_path, "--cores", "1", "--dry-run", "--printshellcmds"))
    assert [command.split()[1] for command in commands].count("ingest") == 4


def test_names_with_spaces_and_commas_reach_the_command_whole(tmp_path):
    for name in ("chr1.bcf", "samples.tsv", "copy number.h5ad"):
        (tmp_path / name).touch()
    configure(
        tmp_path,
        "variants: {source: 'chr{contig}.bcf', contigs: ['1']}\n"
        "samples: samples.tsv\n"
        "features: {copy number: copy number.h5ad}\n"
        "discover: {phenotype: ['Nutlin-3a (-):1', '@names.txt']}\n",
    )
    discover, ingest, _ = planned(
        snakemake(tmp_path, "--cores", "1", "--dry-run", "--printshellcmds")
    )
    assert "--features 'copy number=copy number.h5ad'" in discover
    assert "--phenotype 'Nutlin-3a (-):1' --phenotype @names.txt" in discover
    assert "genodl ingest chr1.bcf" in ingest


def test_discover_is_launched_in_several_processes(place, tmp_path):
    (tmp_path / "data").symlink_to(place / "data")
    configure(tmp_path, 'launch: "srun --ntasks 2"\n' + CONFIG)
    discover = planned(snakemake(tmp_path, "--cores", "1", "--dry-run", "--printshellcmds"))[-1]
    assert discover.startswith("srun --ntasks 2 genodl discover --variants ")
    assert " --distributed 2> " in discover


@pytest.mark.parametrize(
    ("right", "wrong", "named"),
    [
        ("samples:", "sample:", "sample"),
        ("folds: 3", "folds: 1", "folds"),
        ('["1", "2"]', "[1, 2]", "contigs"),
        ("phenotype:", "phenotypes:", "phenotypes"),
    ],
)
def test_a_fault_in_the_settings_stops_it_before_anything_runs(tmp_path, right, wrong, named):
    assert right in CONFIG
    configure(tmp_path, CONFIG.replace(right, wrong, 1))
    done = snakemake(tmp_path, "--cores", "1", "--dry-run")
    assert done.returncode != 0
    assert "Error validating config file" in done.stdout + done.stderr
    assert named in done.stdout + done.stderr
    assert not (tmp_path / "results").exists()


def test_the_cluster_profile_plans(place):
    done = snakemake(
        place, "--profile", str(FOLDER / "profiles" / "slurm"), "--dry-run", "--printshellcmds"
    )
    if "invalid choice: 'slurm'" in done.stderr:
        pytest.skip("snakemake-executor-plugin-slurm is absent")
    assert len(planned(done)) == 4
    assert "mem_mb=32000" in done.stdout + done.stderr


def test_it_finds_what_the_single_command_finds(place):
    done = snakemake(place, "--cores", "2")
    logs = "\n".join(path.read_text() for path in place.glob("results/logs/**/*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    single = run(
        [
            *("genodl", "discover", "--variants", "data/variants.vcf.gz"),
            *("--expression", "data/expression.h5ad", "--samples", "data/samples.tsv"),
            *("--phenotype", "response,response_binary", *OPTIONS, "--out", "single"),
        ],
        place,
    )
    assert single.returncode == 0, single.stderr
    for name in ("markers.tsv", "loci.tsv", "performance.json", "calibration.json"):
        steps, whole = (place / folder / name for folder in ("results/found", "single"))
        assert steps.read_bytes() == whole.read_bytes(), f"{name} differs"
    assert (place / "results" / "found" / "report.html").stat().st_size > 1000
