"""Question-answer pairs from findings and metadata."""


rule vqa_shard:
    input:
        captions="<results>/captions/{delivery}/{shard}/captions.parquet",
        mentions="<results>/mentions/{delivery}/{shard}/mentions.parquet",
        triplets="<results>/grounded/{delivery}/{shard}/triplets.parquet",
        entities="<results>/grounded/{delivery}/{shard}/entities.parquet",
        volumes="<results>/volumes/{delivery}/{shard}/volumes.parquet",
        structures="<results>/structures/{delivery}/{shard}/structures.parquet",
        lexicon=ancient(SITE.lexicon),
        schema=ancient(SITE.schema),
    output:
        questions="<results>/vqa/{delivery}/{shard}/questions.parquet",
        metrics="<results>/vqa/{delivery}/{shard}/metrics.json",
    log:
        "<logs>/vqa/{delivery}/{shard}.log",
    benchmark:
        "<benchmarks>/vqa/{delivery}/{shard}.tsv"
    conda:
        "../envs/curate.yaml"
    resources:
        python=SITE.python,
    params:
        fingerprint=SITE.fingerprint("vqa"),
        llm=SITE.llm("vqa"),
    message:
        "question-answer pairs of {wildcards.delivery}, shard {wildcards.shard}"
    shell:
        "{resources.python:q} -m refrad vqa"
        " --captions {input.captions} --mentions {input.mentions} --triplets {input.triplets} --entities {input.entities}"
        " --volumes {input.volumes} --structures {input.structures}"
        " --lexicon {input.lexicon} --schema {input.schema} --questions {output.questions}"
        " --metrics {output.metrics} --fingerprint {params.fingerprint:q}{params.llm} > {log} 2>&1"


rule vqa:
    input:
        SITE.every_shard("<results>/vqa/{delivery}/{shard}/metrics.json"),
