"""Report sentences, de-identified, with the images they name."""


rule captions_shard:
    input:
        reports=SITE.of("reports"),
        references=SITE.of("references"),
        instances="<results>/index/{delivery}/instances.parquet",
        files="<private>/{delivery}/files.parquet",
        lexicon=ancient(SITE.lexicon),
        schema=ancient(SITE.schema),
    output:
        captions="<results>/captions/{delivery}/{shard}/captions.parquet",
        image_references="<results>/captions/{delivery}/{shard}/references.parquet",
        metrics="<results>/captions/{delivery}/{shard}/metrics.json",
    log:
        "<logs>/captions/{delivery}/{shard}.log",
    benchmark:
        "<benchmarks>/captions/{delivery}/{shard}.tsv"
    conda:
        "../envs/curate.yaml"
    resources:
        python=SITE.python,
    params:
        fingerprint=SITE.fingerprint("captions"),
        llm=SITE.llm("captions"),
        key=SITE.key,
        references=SITE.flag("--references", "references"),
    message:
        "captions of {wildcards.delivery}, shard {wildcards.shard}"
    shell:
        "{resources.python:q} -m refrad captions"
        " --reports {input.reports:q}{params.references}"
        " --instances {input.instances} --files {input.files} --lexicon {input.lexicon} --schema {input.schema}"
        " --key {params.key:q} --shard {wildcards.shard}"
        " --captions {output.captions} --image-references {output.image_references}"
        " --metrics {output.metrics} --fingerprint {params.fingerprint:q}{params.llm} > {log} 2>&1"


rule captions:
    input:
        SITE.every_shard("<results>/captions/{delivery}/{shard}/metrics.json"),
