"""The metadata of the dataset, next to the shards."""


rule card:
    input:
        images=SITE.images,
        left_out=SITE.every_shard(
            "<results>/review/{delivery}/{shard}/left_out.parquet"
        ),
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
        left_out=SITE.brief("left_out"),
        former=SITE.former,
        fingerprint=REVIEW.fingerprint("card"),
        review=REVIEW.flags,
    message:
        "card of the dataset"
    shell:
        "{resources.python:q} -m refrad card --images {params.images} --persons {input.persons}"
        " --left-out {params.left_out}{params.review}"
        " --card {output.card} --croissant-file {output.croissant} --crate {output.crate} --leakage {output.leakage}"
        " --former {params.former:q}"
        " --metrics {output.metrics} --fingerprint {params.fingerprint:q} > {log} 2>&1"
