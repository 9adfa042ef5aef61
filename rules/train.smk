"""RadGrounder, trained on the shards."""


rule train:
    input:
        images=SITE.every_shard("<results>/shards/{delivery}/{shard}/images.parquet"),
        schema=ancient(SITE.schema),
    output:
        checkpoint=directory(f"<results>/train/{SITE.config.train.name}"),
        metrics=f"<results>/train/{SITE.config.train.name}.metrics.json",
    log:
        f"<logs>/train/{SITE.config.train.name}.log",
    benchmark:
        f"<benchmarks>/train/{SITE.config.train.name}.tsv"
    threads: SITE.config.train.threads
    resources:
        python=SITE.python,
    params:
        fingerprint=SITE.fingerprint("train"),
    message:
        "training of " + SITE.config.train.name
    shell:
        "{resources.python:q} -m refrad train"
        " --images {input.images} --schema {input.schema} --checkpoint {output.checkpoint}"
        " --metrics {output.metrics} --fingerprint {params.fingerprint:q} > {log} 2>&1"
