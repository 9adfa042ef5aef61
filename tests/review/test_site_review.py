"""What runs again because of verdicts."""

from dataclasses import replace

import pytest

from refrad.config import load_config
from refrad.review.judgement import ReviewVerdict
from refrad.review.site_review import SiteReview, verdicts_file
from refrad.review.verdicts import open_verdicts
from refrad.workflow.site import Site

ACCEPTED = ReviewVerdict(
    reviewer="A. Reviewer", delivery="demo", shard=0, patient="0f", image_id="i", item="caption", item_id="c", digest="d",
    verdict="accept", queue="browse",
)  # fmt: skip
REJECTED = replace(ACCEPTED, verdict="reject")


@pytest.fixture
def fingerprints(root, tmp_path, monkeypatch):
    """A function: verdicts to the fingerprint of the card, and those of the shards."""
    monkeypatch.chdir(root)
    config = load_config([root / "config.yaml"])
    config["privacy"]["folder"] = str(tmp_path / "private")

    def of(*verdicts):
        site = Site(config)
        path = verdicts_file(site.config.privacy.folder)
        path.unlink(missing_ok=True)
        with open_verdicts(path) as store:
            store.add_all(verdicts)
        review = SiteReview(site)
        shards = range(site.deliveries["demo"].shards)
        return review.fingerprint_of("card"), [review.fingerprint_of("shards", "demo", shard) for shard in shards]

    return of


@pytest.mark.parametrize(
    "further",
    [
        replace(ACCEPTED, reviewer="B. Reviewer"),  # who agrees
        replace(ACCEPTED, queue="random"),  # so the precision rests on it
        replace(ACCEPTED, verdict="undo"),
        replace(ACCEPTED, item_id="c2"),
    ],
    ids=["another reviewer", "random queue", "undo", "another item"],
)
def test_verdict_that_rejects_nothing_makes_the_card_again(fingerprints, further):
    card, shards = fingerprints(ACCEPTED)
    card_again, shards_again = fingerprints(ACCEPTED, further)
    assert card_again != card and shards_again == shards


def test_items_of_one_reviewer_are_not_those_of_two(fingerprints):
    second = replace(ACCEPTED, item_id="c2")
    assert fingerprints(ACCEPTED, second)[0] != fingerprints(ACCEPTED, replace(second, reviewer="B. Reviewer"))[0]


def test_rejection_makes_one_shard_again_whoever_gives_it(fingerprints):
    _, without = fingerprints()
    _, shards = fingerprints(REJECTED)
    assert sum(before != after for before, after in zip(without, shards, strict=True)) == 1
    assert fingerprints(REJECTED, replace(REJECTED, reviewer="B. Reviewer"))[1] == shards


def test_order_of_verdicts_changes_nothing(fingerprints):
    verdicts = [ACCEPTED, replace(REJECTED, item_id="c2"), replace(ACCEPTED, reviewer="B. Reviewer")]
    assert fingerprints(*verdicts) == fingerprints(*reversed(verdicts))
