"""A SigLIP trained to match captions and images; train takes its vision tower if adapt.steps is above 0."""


rule adapt:
    input:
        images=SITE.images,
    output:
        checkpoint=directory(f"<results>/adapt/{SITE.config.adapt.name}"),
        metrics=f"<results>/adapt/{SITE.config.adapt.name}.metrics.json",
    log:
        f"<logs>/adapt/{SITE.config.adapt.name}.log",
    benchmark:
        f"<benchmarks>/adapt/{SITE.config.adapt.name}.tsv"
    conda:
        "../envs/train.yaml"
    threads: SITE.adaptation_cpus
    resources:
        python=SITE.python,
        gpu=SITE.config.adapt.gpus,
    params:
        images=SITE.brief("images"),
        fingerprint=SITE.fingerprint("adapt"),
    message:
        f"adaptation of the vision tower: {SITE.config.adapt.name}"
    shell:
        "{resources.python:q} -m refrad adapt"
        " --images {params.images} --checkpoint {output.checkpoint} --work {output.checkpoint}.work"
        " --metrics {output.metrics} --fingerprint {params.fingerprint:q} > {log} 2>&1"
