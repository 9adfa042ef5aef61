"""Shared by all rules: the checked config, the shards, the fingerprints."""

import gc
import os
import sys
import time
from pathlib import Path

from refrad.core.private_files import refuse_unfinished_removal
from refrad.review.site_review import SiteReview
from refrad.workflow.site import Site

# The plan of an archive is millions of objects that all stay: looking for garbage among them is a quarter of its time.
gc.set_threshold(100_000, 50)

try:
    SITE = Site(config)
    if any(delivery.volumes for delivery in SITE.config.deliveries):
        from refrad.nifti.delivery_checks import (
            check_volume_files,
        )  # here, as it loads what reads images

        check_volume_files(SITE.config, Path(SITE.folder("results")))
    SITE.close_private_folder()
    refuse_unfinished_removal(Path(SITE.config.privacy.folder))
except ValueError as error:  # among them ConfigError
    print(error, file=sys.stderr)
    sys.exit(1)


REVIEW = SiteReview(SITE)
STARTED = time.time()
NAME = SITE.config.train.name


def refuse_nodes_without_slurm():
    """End the run before its first job if it trains on several nodes and no cluster executes it."""
    try:
        if any(job.rule.name == "train" for job in workflow.dag.needrun_jobs()):
            SITE.training.refuse_without_slurm(not workflow.local_exec)
    except ValueError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


def release_servers():
    """End the shared servers of language models that no job uses any more."""
    from refrad.llm.sharing import release  # here, as every job reads this file

    release(Path(SITE.store("llm")) / "servers")


def explain_end(succeeded):
    """The end of the run in words; an error here is one line, since it must not fail the run or hide its error."""
    try:
        from refrad.commands import (
            status,
        )  # here, as it loads what draws pictures

        coloured = sys.stderr.isatty() and "NO_COLOR" not in os.environ
        if succeeded:
            return status.explain_success(SITE, STARTED, coloured)
        return status.explain_failure(SITE, coloured)
    except Exception as error:
        return f"no summary of the run: {type(error).__name__}: {error}"


wildcard_constraints:
    delivery="|".join(SITE.deliveries),
    shard=r"\d+",
