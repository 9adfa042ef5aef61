"""Triplets of image, caption and boxes, kept where caption and slice agree."""


rule grounded_shard:
    input:
        captions="<results>/captions/{delivery}/{shard}/captions.parquet",
        image_references="<results>/captions/{delivery}/{shard}/references.parquet",
        mentions="<results>/mentions/{delivery}/{shard}/mentions.parquet",
        slices="<results>/volumes/{delivery}/{shard}/slices.parquet",
        volumes="<results>/volumes/{delivery}/{shard}/volumes.parquet",
        structures="<results>/structures/{delivery}/{shard}/structures.parquet",
        copies="<results>/copies/{delivery}/copies.parquet",
        schema=ancient(SITE.schema),
    output:
        triplets="<results>/grounded/{delivery}/{shard}/triplets.parquet",
        entities="<results>/grounded/{delivery}/{shard}/entities.parquet",
        metrics="<results>/grounded/{delivery}/{shard}/metrics.json",
    log:
        "<logs>/grounded/{delivery}/{shard}.log",
    benchmark:
        "<benchmarks>/grounded/{delivery}/{shard}.tsv"
    conda:
        "../envs/curate.yaml"
    resources:
        python=SITE.python,
    params:
        fingerprint=SITE.fingerprint("grounded"),
    message:
        "triplets of {wildcards.delivery}, shard {wildcards.shard}"
    shell:
        "{resources.python:q} -m refrad grounded"
        " --captions {input.captions} --image-references {input.image_references} --mentions {input.mentions}"
        " --slices {input.slices} --volumes {input.volumes} --structures {input.structures} --copies {input.copies}"
        " --schema {input.schema} --triplets {output.triplets} --entities {output.entities}"
        " --metrics {output.metrics} --fingerprint {params.fingerprint:q} > {log} 2>&1"


rule grounded:
    input:
        SITE.every_shard("<results>/grounded/{delivery}/{shard}/metrics.json"),
