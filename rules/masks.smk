"""TotalSegmentator label volumes in native ids, kept in a content-addressed store."""


rule masks_shard:
    input:
        volumes="<results>/volumes/{delivery}/{shard}/volumes.parquet",
        instances="<results>/index/{delivery}/instances.parquet",
        files="<private>/{delivery}/files.parquet",
        precomputed=SITE.of("masks"),
        mask_table=SITE.of("mask_table"),
    output:
        masks="<results>/masks/{delivery}/{shard}/masks.parquet",
        metrics="<results>/masks/{delivery}/{shard}/metrics.json",
    log:
        "<logs>/masks/{delivery}/{shard}.log",
    benchmark:
        "<benchmarks>/masks/{delivery}/{shard}.tsv"
    conda:
        "../envs/segment.yaml"
    resources:
        python=SITE.python,
    params:
        fingerprint=SITE.fingerprint("masks"),
        volume_store=SITE.store("volumes"),
        store=SITE.store("masks"),
        precomputed=SITE.flag("--precomputed", "masks"),
        mask_table=SITE.flag("--mask-table", "mask_table"),
    message:
        "label volumes of {wildcards.delivery}, shard {wildcards.shard}"
    shell:
        "{resources.python:q} -m refrad masks"
        " --volumes {input.volumes} --volume-store {params.volume_store:q} --store {params.store:q}"
        " --instances {input.instances} --files {input.files}{params.precomputed}{params.mask_table}"
        " --shard {wildcards.shard} --masks {output.masks}"
        " --metrics {output.metrics} --fingerprint {params.fingerprint:q} > {log} 2>&1"


rule masks:
    input:
        SITE.every_shard("<results>/masks/{delivery}/{shard}/metrics.json"),
