"""RadGrounder on the test patients, beside honest baselines."""


rule evaluate:
    input:
        checkpoint=f"<results>/train/{SITE.config.train.name}",
        images=SITE.every_shard("<results>/shards/{delivery}/{shard}/images.parquet"),
        schema=ancient(SITE.schema),
    output:
        predictions=f"<results>/evaluate/{SITE.config.train.name}/predictions.jsonl",
        metrics=f"<results>/evaluate/{SITE.config.train.name}/metrics.json",
    log:
        f"<logs>/evaluate/{SITE.config.train.name}.log",
    benchmark:
        f"<benchmarks>/evaluate/{SITE.config.train.name}.tsv"
    threads: SITE.config.train.threads
    resources:
        python=SITE.python,
    params:
        fingerprint=SITE.fingerprint("evaluate"),
    message:
        "evaluation of " + SITE.config.train.name
    shell:
        "{resources.python:q} -m refrad evaluate"
        " --checkpoint {input.checkpoint} --images {input.images} --schema {input.schema}"
        " --predictions {output.predictions}"
        " --metrics {output.metrics} --fingerprint {params.fingerprint:q} > {log} 2>&1"
