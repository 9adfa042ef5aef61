"""RadGrounder, trained on the shards."""


rule train:
    input:
        images=SITE.images,
        schema=ancient(SITE.schema),
        tower=SITE.towers,
        public=SITE.config.train.public.files,
    output:
        checkpoint=directory(f"<results>/train/{NAME}"),
        metrics=f"<results>/train/{NAME}.metrics.json",
    log:
        f"<logs>/train/{NAME}.log",
    benchmark:
        f"<benchmarks>/train/{NAME}.tsv"
    conda:
        "../envs/train.yaml"
    threads: SITE.training.cpus
    resources:
        **SITE.training.resources,
        python=SITE.python,
        gpu=SITE.training.gpus,
        mem_mb=SITE.training.memory,
    params:
        images=SITE.brief("images"),
        launch=SITE.training.launcher,
        tower="--tower" if SITE.towers else "",
        fingerprint=SITE.fingerprint("train"),
        tested=SITE.tested,
        public="--public" if SITE.config.train.public.files else "",
    message:
        f"training of {NAME}"
    shell:
        "{params.launch} refrad train"
        " --images {params.images} --schema {input.schema} {params.tower} {input.tower}"
        " {params.public} {input.public}{params.tested} --checkpoint {output.checkpoint} --work {output.checkpoint}.work"
        " --metrics {output.metrics} --fingerprint {params.fingerprint:q} > {log} 2>&1"
