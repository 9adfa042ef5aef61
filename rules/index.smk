"""Headers only: series, patients, shard and split of each patient."""


rule index_delivery:
    input:
        # The result of index does not depend on the reports, only on the presence of the delivery.
        reports=ancient(SITE.of("reports")),
        cohort=SITE.cohort,
        table=SITE.delivered.table,
    output:
        instances="<results>/index/{delivery}/instances.parquet",
        files="<private>/{delivery}/files.parquet",
        persons="<private>/{delivery}/persons.parquet",
        metrics="<results>/index/{delivery}/metrics.json",
    log:
        "<logs>/index/{delivery}.log",
    benchmark:
        "<benchmarks>/index/{delivery}.tsv"
    conda:
        "../envs/curate.yaml"
    threads: 2
    resources:
        python=SITE.python,
    params:
        fingerprint=SITE.fingerprint("index"),
        images=SITE.delivered.flags("index"),
        shards=SITE.of("shards"),
        key=SITE.key,
        choice=SITE.choice.flags,
    message:
        "index of {wildcards.delivery}"
    shell:
        "{resources.python:q} -m refrad index"
        "{params.images} --reports {input.reports:q} --key {params.key:q} --shards {params.shards}{params.choice}"
        " --instances {output.instances} --files {output.files} --persons {output.persons}"
        " --metrics {output.metrics} --fingerprint {params.fingerprint:q} > {log} 2>&1"


rule index:
    input:
        SITE.every_delivery("<results>/index/{delivery}/metrics.json"),
