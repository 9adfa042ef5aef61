"""RadGrounder on the test patients, beside honest baselines."""


rule evaluate:
    input:
        checkpoint=f"<results>/train/{NAME}",
        images=SITE.every_shard("<results>/shards/{delivery}/{shard}/images.parquet"),
        schema=ancient(SITE.schema),
    output:
        predictions=f"<results>/evaluate/{NAME}/predictions.jsonl",
        metrics=f"<results>/evaluate/{NAME}/metrics.json",
    log:
        f"<logs>/evaluate/{NAME}.log",
    benchmark:
        f"<benchmarks>/evaluate/{NAME}.tsv"
    conda:
        "../envs/train.yaml"
    threads: SITE.config.train.threads
    resources:
        python=SITE.python,
    params:
        fingerprint=SITE.fingerprint("evaluate"),
    message:
        f"evaluation of {NAME}"
    shell:
        "{resources.python:q} -m refrad evaluate"
        " --checkpoint {input.checkpoint} --images {input.images} --schema {input.schema}"
        " --predictions {output.predictions}"
        " --metrics {output.metrics} --fingerprint {params.fingerprint:q} > {log} 2>&1"
