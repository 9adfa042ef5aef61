"""Groups of images with different answers to one question."""

from hypothesis import given
from hypothesis import strategies as st

from refrad.grounding.balanced_groups import Offer, match_groups


def groups_of(answers, size=2, free=lambda _: True):
    """Groups of images with the answers {key: answer} of each image, in the order of the list."""

    def offers_of(image):
        return [Offer(image, key, answer) for key, answer in answers[image].items()]

    return list(
        match_groups(range(len(answers)), offers_of, free, lambda first, second: first.answer != second.answer, size)
    )


def test_images_with_different_answers_are_a_group():
    (group,) = groups_of([{"liver": True}, {"liver": True}, {"spleen": False}, {"liver": False}])
    assert {offer.image for offer in group} == {0, 3} and {offer.answer for offer in group} == {True, False}


def test_image_without_a_partner_is_in_no_group():
    assert groups_of([{"liver": True}, {"liver": True}, {"spleen": False}]) == []


def test_image_that_is_not_free_is_in_no_group():
    assert groups_of([{"liver": True}, {"liver": False}], free=lambda image: image > 0) == []


def test_better_offer_of_an_image_comes_first():
    (group,) = groups_of([{"a": 1, "b": 1}, {"b": 2, "a": 2}])
    assert {offer.key for offer in group} == {"b"}


images = st.lists(st.dictionaries(st.integers(0, 3), st.integers(0, 3), max_size=4), max_size=40)


@given(images, st.integers(2, 4), st.sets(st.integers(0, 39)))
def test_groups_are_disjoint_and_their_answers_differ(answers, size, busy):
    groups = groups_of(answers, size, lambda image: image not in busy)
    members = [offer.image for group in groups for offer in group]
    assert len(members) == len(set(members)) and not busy & set(members)
    for group in groups:
        assert len(group) == size == len({offer.answer for offer in group})
        assert len({offer.key for offer in group}) == 1
        assert all(answers[offer.image][offer.key] == offer.answer for offer in group)


@given(st.integers(2, 60))
def test_two_kinds_of_images_in_turn_are_all_paired(count):
    assert len(groups_of([{"liver": bool(number % 2)} for number in range(count)])) == count // 2
