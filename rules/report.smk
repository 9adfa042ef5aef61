"""One page a stage, the gallery and the index."""


rule report:
    input:
        metrics=SITE.every_metrics(),
        images=SITE.images,
        volumes=SITE.every_shard("<results>/volumes/{delivery}/{shard}/volumes.parquet"),
        masks=SITE.every_shard("<results>/masks/{delivery}/{shard}/masks.parquet"),
        triplets=SITE.every_shard(
            "<results>/grounded/{delivery}/{shard}/triplets.parquet"
        ),
        captions=SITE.every_shard(
            "<results>/captions/{delivery}/{shard}/captions.parquet"
        ),
        mentions=SITE.every_shard(
            "<results>/mentions/{delivery}/{shard}/mentions.parquet"
        ),
        flags=SITE.every_shard("<results>/structures/{delivery}/{shard}/flags.parquet"),
        towers=SITE.towers,
        checkpoint=f"<results>/train/{NAME}",
        evaluation=f"<results>/evaluate/{NAME}/metrics.json",
        predictions=f"<results>/evaluate/{NAME}/predictions.jsonl",
        schema=ancient(SITE.schema),
    output:
        index=report(
            "<results>/report/index.html",
            caption="../workflow/report/index.rst",
            category="Pages",
        ),
        gallery=report(
            "<results>/report/gallery.html",
            caption="../workflow/report/gallery.rst",
            category="Pages",
        ),
        overlay=report(
            "<results>/report/overlay.png",
            caption="../workflow/report/overlay.rst",
            category="Pictures",
        ),
        stages=expand("<results>/report/stages/{stage}.html", stage=SITE.pages),
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.tsv"
    conda:
        "../envs/curate.yaml"
    resources:
        python=SITE.python,
    params:
        metrics=SITE.brief("metrics"),
        images=SITE.brief("images"),
        volumes=SITE.brief("volumes"),
        masks=SITE.brief("masks"),
        triplets=SITE.brief("triplets"),
        captions=SITE.brief("captions"),
        mentions=SITE.brief("mentions"),
        flags=SITE.brief("flags"),
        adaptation="--adaptation" if SITE.towers else "",
        fingerprint=SITE.fingerprint("report"),
        volume_store=SITE.store("volumes"),
        mask_store=SITE.store("masks"),
        pages=subpath(output.index, parent=True),
    message:
        "pages of the run"
    shell:
        "{resources.python:q} -m refrad report"
        " --metrics {params.metrics} --images {params.images} --volumes {params.volumes}"
        " --masks {params.masks} --triplets {params.triplets} --captions {params.captions} --mentions {params.mentions}"
        " --flags {params.flags}"
        " {params.adaptation} {input.towers} --training {input.checkpoint}/training.json"
        " --evaluation {input.evaluation} --predictions {input.predictions} --schema {input.schema}"
        " --volume-store {params.volume_store:q} --mask-store {params.mask_store:q}"
        " --pages {params.pages} --fingerprint {params.fingerprint:q} > {log} 2>&1"
