"""The made-up cohort, a delivery as a PACS would export it."""


rule demo:
    output:
        reports="demo/{delivery}/reports.csv",
        references="demo/{delivery}/references.csv",
        cohort="demo/{delivery}/cohort.json",
    log:
        "<logs>/demo/{delivery}.log",
    benchmark:
        "<benchmarks>/demo/{delivery}.tsv"
    conda:
        "../envs/curate.yaml"
    threads: 2
    resources:
        python=SITE.python,
    params:
        patients=SITE.config.demo.patients,
        seed=SITE.config.demo.seed,
    message:
        "made-up delivery {wildcards.delivery}"
    shell:
        "{resources.python:q} -m refrad demo --out demo/{wildcards.delivery} --key demo/key"
        " --patients {params.patients} --seed {params.seed} > {log} 2>&1"
