"""RefRad at a glance: from a delivery of DICOM and reports to shards, a checkpoint and its evaluation."""

from snakemake.utils import min_version

min_version("9.13")


configfile: "config.yaml"


pathvars:
    private=config["privacy"]["folder"],
    benchmarks="logs/timings",


include: "rules/common.smk"
include: "rules/demo.smk"
include: "rules/index.smk"
include: "rules/volumes.smk"
include: "rules/masks.smk"
include: "rules/structures.smk"
include: "rules/captions.smk"
include: "rules/mentions.smk"
include: "rules/copies.smk"
include: "rules/grounded.smk"
include: "rules/vqa.smk"
include: "rules/shards.smk"
include: "rules/card.smk"


if SITE.trains:

    include: "rules/adapt.smk"
    include: "rules/train.smk"
    include: "rules/evaluate.smk"


include: "rules/report.smk"


onstart:
    refuse_nodes_without_slurm()
    SITE.make_private_folder()


onsuccess:
    release_servers()
    print(explain_end(succeeded=True), file=sys.stderr)


onerror:
    print(explain_end(succeeded=False), file=sys.stderr)
    release_servers()


localrules:
    all,
    dataset,
    index,
    volumes,
    masks,
    structures,
    captions,
    mentions,
    copies,
    grounded,
    vqa,
    shards,


rule dataset:
    input:
        rules.card.output,
        rules.report.output,


rule all:
    default_target: True
    input:
        rules.dataset.input,
        rules.model_report.output if SITE.trains else [],
