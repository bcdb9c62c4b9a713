rule discover:
    input:
        variants=expand(f"{OUT}/variants/{{contig}}.zarr", contig=config["variants"]["contigs"]),
        samples=config["samples"],
        tables=list(config["tables"].values()),
        features=list(config["features"].values()),
    output:
        f"{FOUND}/markers.tsv",
        f"{FOUND}/loci.tsv",
        f"{FOUND}/performance.json",
        f"{FOUND}/calibration.json",
        f"{FOUND}/run.json",
    log:
        f"{OUT}/logs/discover.log",
    params:
        out=FOUND,
        variants=lambda wildcards, input: options({"variants": list(input.variants)}),
        tables=options(config["tables"]),
        features=options({"features": [f"{n}={p}" for n, p in config["features"].items()]}),
        options=options(config["discover"]),
        launch=config["launch"].split(),
        distributed="--distributed" if config["launch"] else [],
    threads: 8
    resources:
        mem_mb=16000,
        runtime=240,
    shell:
        "{params.launch:q} genodl discover {params.variants:q} --samples {input.samples:q} --out {params.out:q}"
        " {params.tables:q} {params.features:q} {params.options:q} {params.distributed:q} 2> {log:q}"
