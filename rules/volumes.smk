"""One geometry-checked volume per series, and the position of each SOP instance in it."""


rule volumes_shard:
    input:
        instances="<results>/index/{delivery}/instances.parquet",
        files="<private>/{delivery}/files.parquet",
        table=SITE.delivered.table,
    output:
        volumes="<results>/volumes/{delivery}/{shard}/volumes.parquet",
        slices="<results>/volumes/{delivery}/{shard}/slices.parquet",
        metrics="<results>/volumes/{delivery}/{shard}/metrics.json",
    log:
        "<logs>/volumes/{delivery}/{shard}.log",
    benchmark:
        "<benchmarks>/volumes/{delivery}/{shard}.tsv"
    conda:
        "../envs/curate.yaml"
    resources:
        python=SITE.python,
    params:
        fingerprint=SITE.fingerprint("volumes"),
        store=SITE.store("volumes"),
        images=SITE.delivered.flags("volumes"),
        key=SITE.key,
    message:
        "volumes of {wildcards.delivery}, shard {wildcards.shard}"
    shell:
        "{resources.python:q} -m refrad volumes"
        "{params.images} --instances {input.instances} --files {input.files}"
        " --key {params.key:q} --shard {wildcards.shard} --store {params.store:q}"
        " --volumes {output.volumes} --slices {output.slices}"
        " --metrics {output.metrics} --fingerprint {params.fingerprint:q} > {log} 2>&1"


rule volumes:
    input:
        SITE.every_shard("<results>/volumes/{delivery}/{shard}/metrics.json"),
