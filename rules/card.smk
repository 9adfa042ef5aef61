"""The metadata of the dataset, next to the shards."""


rule card:
    input:
        images=SITE.images,
        persons=SITE.every_delivery("<private>/{delivery}/persons.parquet"),
    output:
        card="<results>/shards/README.md",
        croissant="<results>/shards/croissant.json",
        crate="<results>/shards/ro-crate-metadata.json",
        leakage="<results>/shards/leakage.json",
        metrics="<results>/card/metrics.json",
    log:
        "<logs>/card.log",
    benchmark:
        "<benchmarks>/card.tsv"
    conda:
        "../envs/curate.yaml"
    resources:
        python=SITE.python,
    params:
        images=SITE.brief("images"),
        fingerprint=SITE.fingerprint("card"),
    message:
        "card of the dataset"
    shell:
        "{resources.python:q} -m refrad card --images {params.images} --persons {input.persons}"
        " --card {output.card} --croissant-file {output.croissant} --crate {output.crate} --leakage {output.leakage}"
        " --metrics {output.metrics} --fingerprint {params.fingerprint:q} > {log} 2>&1"
