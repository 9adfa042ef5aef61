"""Verbatim anatomical spans of the captions and their classes."""


rule mentions_shard:
    input:
        captions="<results>/captions/{delivery}/{shard}/captions.parquet",
        lexicon=ancient(SITE.lexicon),
        schema=ancient(SITE.schema),
    output:
        mentions="<results>/mentions/{delivery}/{shard}/mentions.parquet",
        metrics="<results>/mentions/{delivery}/{shard}/metrics.json",
    log:
        "<logs>/mentions/{delivery}/{shard}.log",
    benchmark:
        "<benchmarks>/mentions/{delivery}/{shard}.tsv"
    conda:
        "../envs/curate.yaml"
    resources:
        python=SITE.python,
    params:
        fingerprint=SITE.fingerprint("mentions"),
        llm=SITE.llm("mentions"),
    message:
        "mentions of {wildcards.delivery}, shard {wildcards.shard}"
    shell:
        "{resources.python:q} -m refrad mentions"
        " --captions {input.captions} --lexicon {input.lexicon} --schema {input.schema}"
        " --mentions {output.mentions}"
        " --metrics {output.metrics} --fingerprint {params.fingerprint:q}{params.llm} > {log} 2>&1"


rule mentions:
    input:
        SITE.every_shard("<results>/mentions/{delivery}/{shard}/metrics.json"),
