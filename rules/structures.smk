"""The classes in every slice, with area and box."""


rule structures_shard:
    input:
        slices="<results>/volumes/{delivery}/{shard}/slices.parquet",
        volumes="<results>/volumes/{delivery}/{shard}/volumes.parquet",
        masks="<results>/masks/{delivery}/{shard}/masks.parquet",
        schema=ancient(SITE.schema),
        norms=ancient(SITE.norms),
    output:
        structures="<results>/structures/{delivery}/{shard}/structures.parquet",
        flags="<results>/structures/{delivery}/{shard}/flags.parquet",
        metrics="<results>/structures/{delivery}/{shard}/metrics.json",
    log:
        "<logs>/structures/{delivery}/{shard}.log",
    benchmark:
        "<benchmarks>/structures/{delivery}/{shard}.tsv"
    conda:
        "../envs/curate.yaml"
    resources:
        python=SITE.python,
    params:
        fingerprint=SITE.fingerprint("structures"),
        mask_store=SITE.store("masks"),
    message:
        "structures of {wildcards.delivery}, shard {wildcards.shard}"
    shell:
        "{resources.python:q} -m refrad structures"
        " --slices {input.slices} --volumes {input.volumes} --masks {input.masks}"
        " --mask-store {params.mask_store:q} --schema {input.schema} --norms {input.norms}"
        " --structures {output.structures} --flags {output.flags}"
        " --metrics {output.metrics} --fingerprint {params.fingerprint:q} > {log} 2>&1"


rule structures:
    input:
        SITE.every_shard("<results>/structures/{delivery}/{shard}/metrics.json"),
