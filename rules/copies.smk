"""Copies of volumes, within a delivery and of earlier ones."""


rule copies_delivery:
    input:
        # Deliveries that are appended later change nothing here.
        volumes=SITE.so_far("<results>/volumes/{delivery}/{shard}/volumes.parquet"),
        captions=SITE.so_far("<results>/captions/{delivery}/{shard}/captions.parquet"),
    output:
        copies="<results>/copies/{delivery}/copies.parquet",
        metrics="<results>/copies/{delivery}/metrics.json",
    log:
        "<logs>/copies/{delivery}.log",
    benchmark:
        "<benchmarks>/copies/{delivery}.tsv"
    conda:
        "../envs/curate.yaml"
    resources:
        python=SITE.python,
    params:
        fingerprint=SITE.fingerprint("copies"),
        volumes=SITE.brief("volumes"),
        captions=SITE.brief("captions"),
        shards=SITE.of("shards"),
        volume_store=SITE.store("volumes"),
    message:
        "copies of volumes in {wildcards.delivery}"
    shell:
        "{resources.python:q} -m refrad copies"
        " --volumes {params.volumes} --captions {params.captions} --shards {params.shards}"
        " --volume-store {params.volume_store:q} --copies {output.copies}"
        " --metrics {output.metrics} --fingerprint {params.fingerprint:q} > {log} 2>&1"


rule copies:
    input:
        SITE.every_delivery("<results>/copies/{delivery}/metrics.json"),
