"""The commands that need no discovery, and how the process ends."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest

import genodl
from genodl import simulate
from genodl.cli import app, main, run
from genodl.io import read_variants

COMMANDS = ("discover", "demo", "simulate", "ingest", "report", "doctor", "bench")
HEAVY = ("anndata", "jax", "matplotlib", "numpy", "pandas", "pydantic", "pysam", "scanpy")


def python(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_help_names_every_command(succeed):
    said = succeed("--help")
    assert all(f"\n  {name} " in said for name in COMMANDS)
    assert succeed() == said


def test_help_of_discover_names_every_option_of_the_contract(succeed):
    said = succeed("discover", "--help")
    for option in (
        *("variants", "expression", "features", "samples", "out", "phenotype", "survival", "kind"),
        *("genes", "pathways", "gene-window", "covariates", "pcs", "group", "model", "folds"),
        *("members", "fdr", "seed", "config"),
    ):
        assert f"--{option} " in said


def test_the_version_is_that_of_the_package(succeed):
    assert succeed("--version") == f"{genodl.__version__}\n"


@pytest.mark.parametrize("asked", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(asked):
    code = (
        "import sys\nfrom genodl.cli import main\n"
        f"try: main(['{asked}'])\nexcept SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    loaded = {name.partition(".")[0] for name in python("-c", code).stderr.split()}
    assert "typer" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_a_wrong_column_is_told_before_jax_loads(source, tmp_path):
    options = ["--samples", source / "samples.tsv", "--expression", source / "expression.h5ad"]
    command = ["discover", *options, "--phenotype", "respons", "--out", tmp_path / "out"]
    code = (
        "import sys\nfrom genodl.cli import main\n"
        f"try: main({[str(part) for part in command]})\nexcept SystemExit: pass\n"
        "print(*sys.modules)"
    )
    done = python("-c", code)
    assert "'response'" in done.stderr
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint({"jax", "scanpy", "matplotlib", "anndata"})


def test_simulate_writes_what_it_names(succeed, tmp_path):
    counts = ("--samples", 30, "--variants", 40, "--genes", 0, "--markers", "additive")
    said = succeed("simulate", "--out", tmp_path / "made", *counts, "--seed", 5)
    paths = dict(line.split("\t") for line in said.splitlines())
    assert set(paths) == {"variants", "samples", "truth"}
    expected = simulate.cohort(seed=5, samples=30, variants=40, genes=0, markers="additive")
    found = read_variants(paths["variants"])
    assert (found.X == expected.cohort.modalities["variants"].X).all()


def test_ingest_takes_several_regions_and_a_list_of_samples(succeed, source, tmp_path):
    wanted = tmp_path / "ids.txt"
    wanted.write_text("S00003\nS00001\n")
    whole = read_variants(source / "variants.vcf.gz")
    end = int(whole.var.loc[whole.var["contig"] == "1", "pos"].iloc[2])
    regions = ("--region", f"1:1-{end}", "--region", "3")
    store = tmp_path / "x.zarr"
    said = succeed(
        "ingest", source / "variants.vcf.gz", "--out", store, *regions, "--samples", wanted
    )
    assert said == f"{store}\n"
    found = read_variants(store)
    contig, pos = whole.var["contig"], whole.var["pos"]
    chosen = whole[["S00003", "S00001"], ((contig == "1") & (pos <= end)) | (contig == "3")]
    assert list(found.obs_names) == ["S00003", "S00001"]
    assert list(found.var_names) == list(chosen.var_names)
    assert np.array_equal(found.X, chosen.X)
    assert succeed("ingest", source / "variants.vcf.gz", "--out", store, *regions, "--verify")


def test_doctor_states_versions_and_a_right_product(succeed):
    said = succeed("doctor")
    assert f"genodl\t{genodl.__version__}\n" in said
    assert "matrix product\tright" in said
    assert said.endswith("all is well\n")


def test_a_bug_of_ours_keeps_its_traceback(monkeypatch, source, tmp_path):
    def stumble(*given, **named):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(run, "discover", stumble)
    with pytest.raises(ZeroDivisionError):
        main(["discover", "--samples", str(source / "samples.tsv"), "--out", str(tmp_path)])


def test_an_interrupt_exits_with_130(monkeypatch, capsys, tmp_path):
    def interrupt(*given, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "ingest", interrupt)
    with pytest.raises(SystemExit) as stop:
        main(["ingest", "x.vcf", "--out", "x.zarr"])
    assert stop.value.code == app.INTERRUPTED == 128 + signal.SIGINT
    assert capsys.readouterr().err.strip() == "genodl: interrupted"


def test_a_signal_ends_the_process_with_130():
    code = (
        # a shell that starts tests in the background has its children ignore the signal
        "import signal, sys, time\nfrom genodl.cli import main, run\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "run.ingest = lambda *a, **k: (print('ready', flush=True), time.sleep(30))\n"
        "main(['ingest', 'x.vcf', '--out', 'x.zarr'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        assert process.stderr.read() == "genodl: interrupted\n"


def test_a_reader_that_leaves_ends_the_command_quietly():
    with subprocess.Popen(
        [sys.executable, "-m", "genodl", "--version"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        assert process.wait(timeout=20) == 141
        assert process.stderr.read() == b""


def test_compiled_programs_are_kept_where_the_user_keeps_caches(monkeypatch, tmp_path):
    import jax

    given = {
        name: jax.config.values[name]
        for name in ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    }
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        run.enable_compilation_cache()
        folder = tmp_path / "genodl" / "compiled"
        assert jax.config.values["jax_compilation_cache_dir"] == str(folder)
        assert jax.config.values["jax_persistent_cache_min_compile_time_secs"] == 0
        jax.config.update("jax_compilation_cache_dir", "chosen")
        run.enable_compilation_cache()
        assert jax.config.values["jax_compilation_cache_dir"] == "chosen"
    finally:
        for name, value in given.items():
            jax.config.update(name, value)
