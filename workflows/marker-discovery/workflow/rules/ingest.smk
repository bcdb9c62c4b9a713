rule ingest:
    input:
        config["variants"]["source"],
    output:
        directory(f"{OUT}/variants/{{contig}}.zarr"),
    log:
        f"{OUT}/logs/ingest/{{contig}}.log",
    params:
        options=options(config["variants"]["ingest"]),
    threads: 2
    resources:
        mem_mb=2000,
        runtime=60,
    shell:
        "genodl ingest {input:q} --out {output:q} --region {wildcards.contig:q}"
        " {params.options:q} 2> {log:q}"
