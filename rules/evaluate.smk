"""RadGrounder on the test patients, and baselines."""


rule evaluate:
    input:
        checkpoint=f"<results>/train/{NAME}",
        images=SITE.images,
        schema=ancient(SITE.schema),
        public=SITE.config.evaluate.public,
        trained=SITE.config.train.public.files,
        against=[
            f"<results>/evaluate/{name}/scores.parquet"
            for name in SITE.config.evaluate.compare_with
        ],
    output:
        truth=f"<results>/evaluate/{NAME}/truth.jsonl",
        predictions=f"<results>/evaluate/{NAME}/predictions.jsonl",
        scores=f"<results>/evaluate/{NAME}/scores.parquet",
        others=directory(f"<results>/evaluate/{NAME}/others"),
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
        images=SITE.brief("images"),
        fingerprint=SITE.fingerprint("evaluate"),
        store=SITE.store("answers"),
        llm=SITE.llm("evaluate"),
        scale=SITE.scale,
        public="--public" if SITE.config.evaluate.public else "",
        trained="--trained" if SITE.config.train.public.files else "",
        against="--against" if SITE.config.evaluate.compare_with else "",
    message:
        f"evaluation of {NAME}"
    shell:
        "{resources.python:q} -m refrad evaluate"
        " --checkpoint {input.checkpoint} --images {params.images} --schema {input.schema}"
        " {params.public} {input.public} {params.trained} {input.trained} {params.against} {input.against} --store {params.store:q} --scale {params.scale:q}{params.llm}"
        " --truth {output.truth} --predictions {output.predictions} --scores {output.scores}"
        " --others {output.others} --metrics {output.metrics} --fingerprint {params.fingerprint:q} > {log} 2>&1"
