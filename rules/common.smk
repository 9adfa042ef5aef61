"""Shared by all rules: the checked config, the shards, the fingerprints."""

import gc
import sys
from pathlib import Path

from refrad.core.private_files import refuse_unfinished_removal
from refrad.review.site_review import SiteReview
from refrad.workflow.site import Site

# The plan of an archive is millions of objects that all stay: looking for garbage among them is a quarter of its time.
gc.set_threshold(100_000, 50)

try:
    SITE = Site(config)
    SITE.close_private_folder()
    refuse_unfinished_removal(Path(SITE.config.privacy.folder))
except ValueError as error:  # among them ConfigError
    print(error, file=sys.stderr)
    sys.exit(1)


REVIEW = SiteReview(SITE)
NAME = SITE.config.train.name


def release_servers():
    """End the shared servers of language models that no job uses any more."""
    from refrad.llm.sharing import release  # here, as every job reads this file

    release(Path(SITE.store("llm")) / "servers")


def explain_failure():
    """The end of a run that failed; an error here is one line, since it must not hide that of the run."""
    try:
        from refrad.commands import (
            status,
        )  # here, as it loads what draws pictures

        return status.explain_failure(SITE)
    except Exception as error:
        return f"no status pages: {type(error).__name__}: {error}"


wildcard_constraints:
    delivery="|".join(SITE.deliveries),
    shard=r"\d+",
