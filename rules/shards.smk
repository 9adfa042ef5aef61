"""The dataset: Parquet with the images inside."""


rule shards_shard:
    input:
        captions="<results>/captions/{delivery}/{shard}/captions.parquet",
        mentions="<results>/mentions/{delivery}/{shard}/mentions.parquet",
        triplets="<results>/grounded/{delivery}/{shard}/triplets.parquet",
        entities="<results>/grounded/{delivery}/{shard}/entities.parquet",
        questions="<results>/vqa/{delivery}/{shard}/questions.parquet",
        volumes="<results>/volumes/{delivery}/{shard}/volumes.parquet",
        structures="<results>/structures/{delivery}/{shard}/structures.parquet",
        masks="<results>/masks/{delivery}/{shard}/masks.parquet",
        schema=ancient(SITE.schema),
    output:
        train="<results>/shards/data/{delivery}/{shard}/train.parquet",
        validation="<results>/shards/data/{delivery}/{shard}/validation.parquet",
        test="<results>/shards/data/{delivery}/{shard}/test.parquet",
        left_out="<results>/review/{delivery}/{shard}/left_out.parquet",
        metrics="<results>/shards/metrics/{delivery}/{shard}/metrics.json",
    log:
        "<logs>/shards/{delivery}/{shard}.log",
    benchmark:
        "<benchmarks>/shards/{delivery}/{shard}.tsv"
    conda:
        "../envs/curate.yaml"
    resources:
        python=SITE.python,
    params:
        fingerprint=REVIEW.fingerprint("shards"),
        review=REVIEW.flags,
        volume_store=SITE.store("volumes"),
        mask_store=SITE.store("masks"),
        card=SITE.card,
        croissant=SITE.croissant,
    message:
        "images and their texts of {wildcards.delivery}, shard {wildcards.shard}"
    shell:
        "{resources.python:q} -m refrad shards"
        " --captions {input.captions} --mentions {input.mentions} --triplets {input.triplets} --entities {input.entities}"
        " --questions {input.questions} --volumes {input.volumes}"
        " --structures {input.structures} --masks {input.masks} --schema {input.schema}"
        " --volume-store {params.volume_store:q} --mask-store {params.mask_store:q}"
        " --train {output.train} --validation {output.validation} --test {output.test}"
        " --left-out {output.left_out}{params.review}"
        " --card {params.card:q} --croissant {params.croissant:q}"
        " --metrics {output.metrics} --fingerprint {params.fingerprint:q} > {log} 2>&1"


rule shards:
    input:
        SITE.every_shard("<results>/shards/metrics/{delivery}/{shard}/metrics.json"),
