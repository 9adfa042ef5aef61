"""Verbatim anatomical spans of the captions and their classes."""


rule mentions_shard:
    message:
        "mentions of {wildcards.delivery}, shard {wildcards.shard}"
    input:
        captions="<results>/captions/{delivery}/{shard}/captions.parquet",
        lexicon=ancient(SITE.lexicon),
        schema=ancient(SITE.schema),
    output:
        mentions="<results>/mentions/{delivery}/{shard}/mentions.parquet",
        metrics="<results>/mentions/{delivery}/{shard}/metrics.json",
    params:
        fingerprint=SITE.fingerprint("mentions"),
    log:
        "<logs>/mentions/{delivery}/{shard}.log",
    benchmark:
        "<benchmarks>/mentions/{delivery}/{shard}.tsv"
    resources:
        python=SITE.python,
    shell:
        "{resources.python:q} -m refrad mentions"
        " --captions {input.captions} --lexicon {input.lexicon} --schema {input.schema}"
        " --mentions {output.mentions}"
        " --metrics {output.metrics} --fingerprint {params.fingerprint:q} > {log} 2>&1"


rule mentions:
    input:
        SITE.every_shard("<results>/mentions/{delivery}/{shard}/metrics.json"),
