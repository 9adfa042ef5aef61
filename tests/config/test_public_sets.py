"""The registry of public sets: terms of each part, what may be passed on, and what is asked to be cited."""

from typing import get_args

import pytest

from refrad.config.public_sets import PUBLIC_SETS, SetPart, SetTerms, borrowed_terms, untested_findings

PARTS = get_args(SetPart)


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_set_states_terms_address_and_citation(name):
    entry = PUBLIC_SETS[name]
    assert entry.name == name and entry.address.startswith("https://") and entry.citations
    assert all(entry.terms(part).text for part in PARTS)
    assert all(entry.terms(part).text in entry.describe_terms() for part in PARTS)


def test_images_and_masks_of_totalsegmentator_alone_may_be_passed_on():
    bound = {name: entry.bound_parts(PARTS) for name, entry in PUBLIC_SETS.items()}
    assert bound.pop("totalsegmentator") == ["reports"]  # the notes are without derivatives
    assert all(parts == list(PARTS) for parts in bound.values())
    assert PUBLIC_SETS["totalsegmentator"].bound_parts(["images", "masks"]) == []


def test_only_reports_of_abdomenatlas_were_made_from_masks():
    assert [name for name, entry in PUBLIC_SETS.items() if entry.reports_of_masks] == ["abdomenatlas"]


@pytest.mark.parametrize(
    ("license", "link"),
    [("CC-BY-4.0", "https://spdx.org/licenses/CC-BY-4.0"), ("Stanford research use agreement", None)],
)
def test_spdx_identifiers_have_an_address(license, link):
    assert SetTerms(license, "note").link == link


def test_no_license_without_derivatives_is_redistributable():
    terms = [entry.terms(part) for entry in PUBLIC_SETS.values() for part in PARTS]
    assert not any(term.redistributable for term in terms if "-ND" in term.license or "agreement" in term.license)


@pytest.mark.parametrize(
    ("names", "terms", "refused"),
    [
        (["ct-rate", None], PUBLIC_SETS["ct-rate"].describe_terms(), True),
        ([None], PUBLIC_SETS["merlin"].describe_terms(), True),
        (["ct-rate", "merlin"], PUBLIC_SETS["ct-rate"].describe_terms(), False),
        (["ct-rate", None], "Internal use only", False),
        ([None], None, False),
    ],
)
def test_terms_of_a_set_are_not_given_to_the_sites_own_data(names, terms, refused):
    lines = list(borrowed_terms(names, terms))
    assert len(lines) == refused and all(line.startswith("config: card.terms: are those of") for line in lines)


@pytest.mark.parametrize(
    ("names", "trains", "refused"),
    [
        (["abdomenatlas"], True, True),
        (["abdomenatlas", "abdomenatlas"], True, True),
        (["abdomenatlas"], False, False),
        (["abdomenatlas", None], True, False),
        (["totalsegmentator", "abdomenatlas"], True, False),
        ([None], True, False),
    ],
)
def test_model_on_generated_reports_alone_is_refused(names, trains, refused):
    lines = list(untested_findings(names, trains))
    assert len(lines) == refused and all("reports of abdomenatlas were made from masks" in line for line in lines)
