rule report:
    input:
        rules.discover.output,
    output:
        f"{FOUND}/report.html",
    log:
        f"{OUT}/logs/report.log",
    params:
        found=FOUND,
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    shell:
        "genodl report {params.found:q} 2> {log:q}"
