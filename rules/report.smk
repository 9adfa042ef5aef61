"""One page a stage, the gallery and the index: of the dataset alone, then with the model."""


rule report:
    input:
        metrics=SITE.every_metrics(SITE.dataset_pages),
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
        stages=expand("<results>/report/stages/{stage}.html", stage=SITE.dataset_pages),
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.tsv"
    # Before train, which may take days or end without a checkpoint.
    priority: 1
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
        model="",
        fingerprint=SITE.fingerprint("report"),
        volume_store=SITE.store("volumes"),
        mask_store=SITE.store("masks"),
        pages=lambda wildcards, output: str(Path(output.stages[0]).parents[1]),
    message:
        "pages of the dataset"
    shell:
        "{resources.python:q} -m refrad report"
        " --metrics {params.metrics} --images {params.images} --volumes {params.volumes}"
        " --masks {params.masks} --triplets {params.triplets} --captions {params.captions} --mentions {params.mentions}"
        " --flags {params.flags}"
        "{params.model} --schema {input.schema}"
        " --volume-store {params.volume_store:q} --mask-store {params.mask_store:q}"
        " --pages {params.pages} --fingerprint {params.fingerprint:q} > {log} 2>&1"


if SITE.trains:

    use rule report as model_report with:
        input:
            metrics=SITE.every_metrics(SITE.pages),
            images=rules.report.input.images,
            volumes=rules.report.input.volumes,
            masks=rules.report.input.masks,
            triplets=rules.report.input.triplets,
            captions=rules.report.input.captions,
            mentions=rules.report.input.mentions,
            flags=rules.report.input.flags,
            schema=ancient(SITE.schema),
            towers=SITE.towers,
            checkpoint=f"<results>/train/{NAME}",
            evaluation=f"<results>/evaluate/{NAME}/metrics.json",
            predictions=f"<results>/evaluate/{NAME}/predictions.jsonl",
            # This rule writes the pages of the dataset again, with links to its own, and its own after them.
            index="<results>/report/index.html",
        output:
            stages=expand(
                "<results>/report/stages/{stage}.html", stage=SITE.model_pages
            ),
        log:
            "<logs>/model_report.log",
        benchmark:
            "<benchmarks>/model_report.tsv"
        params:
            model=SITE.model_flags,
        message:
            "pages of the dataset, the training and the evaluation"
