"""The options of the commands, each with its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

Directory = Annotated[Path, Argument(help="Folder of a finished run.")]
Out = Annotated[Path, Option("--out", help="Folder of the results.")]
Samples = Annotated[Path, Option(help="Sample table, the sample id first.")]
Phenotype = Annotated[
    list[str] | None, Option(help="Column, or A,B,..., or @FILE with one name a line; repeats.")
]
Survival = Annotated[
    list[str] | None,
    Option(help="TIME,EVENT columns, event 1 where it was seen and 0 where censored; repeats."),
]
Variants = Annotated[
    list[Path] | None, Option(help="VCF, BCF, PLINK or store; repeats for contigs.")
]
Expression = Annotated[Path | None, Option(help="h5ad, or a delimited matrix, samples in rows.")]
Features = Annotated[list[str] | None, Option(help="NAME=PATH of a further modality; repeats.")]
Genes = Annotated[Path | None, Option(help="Gene table (contig start end gene), GTF or GFF3.")]
Pathways = Annotated[Path | None, Option(help="Gene sets, GMT; needs --genes.")]
GeneWindow = Annotated[int | None, Option(help="bp added around each gene [default: 0].")]
Covariates = Annotated[
    list[str] | None, Option(help="Columns a,b or @FILE; text is one-hot encoded.")
]
DropMarkers = Annotated[
    list[str] | None,
    Option(help="Markers a,b or @FILE left out, such as the trait's own gene."),
]
Pcs = Annotated[int | None, Option(help="Principal components as covariates [default: 0].")]
Group = Annotated[str | None, Option(help="Column whose levels stay within a fold.")]
Kind = Annotated[
    str | None, Option(help="auto, quantitative, binary, multiclass or survival [default: auto].")
]
Model = Annotated[
    str | None,
    Option(help="linear, mlp, pathway, cnn, lstm, gru, attention or fusion [default: auto]."),
]
Folds = Annotated[int | None, Option(help="Folds [default: 10].")]
Members = Annotated[int | None, Option(help="Networks a fold [default: 8].")]
Fdr = Annotated[float | None, Option(help="False discovery rate reported [default: 0.1].")]
Checks = Annotated[int | None, Option(help="Permuted replicates of the self-check [default: 5].")]
Null = Annotated[
    str | None, Option(help="score, permutation or knockoff: source of p and q [default: score].")
]
RunSeed = Annotated[int | None, Option("--seed", help="Seed of everything random [default: 0].")]
Config = Annotated[Path | None, Option(help="Settings as TOML; options win over them.")]

Matches = Annotated[Path | None, Option("--matches", help="File: a row a marker of the model.")]
NewSamples = Annotated[
    Path | None,
    Option("--samples", help="Sample table with the model's covariates [default: no covariates]."),
]
Program = Annotated[Path, Option("--out", help="File of the program; .json is added beside it.")]
Format = Annotated[str, Option("--format", help="stablehlo or onnx.")]
TableOut = Annotated[Path | None, Option("--out", help="File of the table [default: stdout].")]
LinearKind = Annotated[str, Option("--kind", help="auto, quantitative or binary.")]
MaxP = Annotated[float, Option("--max-p", help="Leave out rows with a greater p-value.")]

Distributed = Annotated[
    bool,
    Option("--distributed", help="One of several processes, as srun starts them, that share work."),
]
Resume = Annotated[
    Path | None,
    Option(
        help="Folder that keeps what is learnt until the result is written, to go on after a stop."
    ),
]

Seed = Annotated[int, Option("--seed", min=0, help="Seed of everything random.")]
SampleCount = Annotated[int, Option("--samples", help="Samples.")]
VariantCount = Annotated[int, Option("--variants", help="Variants.")]
GeneCount = Annotated[int, Option("--genes", help="Genes with expression; 0 for none.")]
Markers = Annotated[str, Option(help="What is planted, such as mixed.")]
Heritability = Annotated[float, Option("--h2", help="Share of variance the markers explain.")]
SimulatedKind = Annotated[
    str, Option("--kind", help="quantitative, binary, multiclass or survival.")
]

Source = Annotated[list[Path], Argument(help="VCF, BCF or PLINK; several for contigs.")]
Store = Annotated[Path, Option("--out", help="Store to write, X.zarr.")]
Region = Annotated[list[str] | None, Option(help="C or C:B-E; repeats.")]
SampleList = Annotated[Path | None, Option("--samples", help="File of sample ids, one a line.")]
Field = Annotated[str, Option(help="GT or DS.")]
PassOnly = Annotated[bool, Option("--pass-only", help="Only records whose FILTER is PASS.")]
SnpsOnly = Annotated[bool, Option("--snps-only", help="Only one letter for another.")]
CallRate = Annotated[float, Option("--call-rate", help="Least share of samples with a call.")]
Maf = Annotated[float, Option("--maf", help="Least minor allele frequency.")]
Info = Annotated[list[str] | None, Option(help="INFO key kept in var, such as CSQ; repeats.")]
Reference = Annotated[
    Path | None,
    Option(help="FASTA to bring records into normal form: REF checked, left-aligned, no repeats."),
]
Verify = Annotated[bool, Option("--verify", help="Check every chunk of the store.")]

Json = Annotated[bool, Option("--json", help="Print JSON.")]
Quick = Annotated[bool, Option("--quick", help="Toy sizes.")]
