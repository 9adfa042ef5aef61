import pytest

from refrad.evaluation.metrics.stated_choice import choice_and_alternative, first_stated


def states(answer, *choice):
    return first_stated(answer, [list(choice)]) is not None


@pytest.mark.parametrize(
    "answer",
    [
        *("It is pneumonia.", "Findings are consistent with pneumonia.", "I think it is pneumonia", "Yes, pneumonia"),
        *(
            "There is no doubt that it is pneumonia",
            "I am not sure, but I think it is pneumonia",
            "pneumonia, not edema",
        ),
        *(
            "not edema but pneumonia",
            "No, pneumonia",
            "pneumonia rather than edema",
            "pneumonia with or without effusion",
        ),
        *("It is pneumonia, showing fluid or pus.", "not only edema, also pneumonia"),
    ],
)
def test_stated_choice_is_read(answer):
    assert states(answer, "pneumonia")


@pytest.mark.parametrize(
    "answer",
    [
        *("not pneumonia", "No evidence of acute pneumonia.", "without signs of pneumonia", "rules out pneumonia"),
        *("Pneumonia is unlikely", "pneumonia is not seen", "Pneumonia can be excluded", "It isn\u2019t pneumonia"),
        *("I don't think it is pneumonia", "negative for pneumonia", "edema rather than pneumonia"),
        *("denies pneumonia", "pneumonia has been ruled out", "pneumonia: no", "Pneumonia? No.", "non-pneumonia"),
    ],
)
def test_denied_choice_is_not_stated(answer):
    assert not states(answer, "pneumonia")


@pytest.mark.parametrize(
    "answer",
    [
        *(
            "keine Pneumonie",
            "Kein Hinweis auf eine Pneumonie",
            "Pneumonie ausgeschlossen",
            "Pneumonie unwahrscheinlich",
        ),
        *("Eine Pneumonie liegt nicht vor.", "Es handelt sich nicht um eine Pneumonie", "Die Pneumonie ist es nicht"),
    ],
)
def test_denied_choice_in_german_is_not_stated(answer):
    assert not states(answer, "pneumonie")


def test_contrast_in_german_states_its_second_part():
    assert states("Das ist nicht die Leber, sondern die Milz.", "milz")
    assert not states("Das ist nicht die Leber, sondern die Milz.", "leber")
    assert states("MRT statt CT", "mrt") and not states("MRT statt CT", "ct")
    assert not states("weder CT noch MRT", "ct") and not states("weder CT noch MRT", "mrt")


@pytest.mark.parametrize(
    "answer",
    [
        *("It is unclear whether this is pneumonia", "cannot tell if pneumonia", "Pneumonia cannot be excluded"),
        *("Eine Pneumonie ist nicht auszuschließen", "fraglich Pneumonie"),
    ],
)
def test_choice_left_open_is_not_stated(answer):
    assert not states(answer, "pneumonia") and not states(answer, "pneumonie")


@pytest.mark.parametrize(
    "answer",
    [
        *("CT or MRI", "CT/MRI", "It is either a CT or an MRI.", "It could be CT, MRI or US", "CT scan or MRI scan"),
        *("CT oder MRI", "CT and MRI", "both CT and MRI", "CT, MRI, US"),
    ],
)
def test_alternatives_are_not_stated(answer):
    assert not states(answer, "ct") and not states(answer, "mri")
    assert first_stated(answer, [["ct"], ["mri"]]) is None


def test_first_item_of_two_counts():
    assert states("MRI, axial", "mri") and not states("CT, MRI", "mri")


def test_of_choices_at_one_place_the_longest_is_stated():
    assert first_stated("the left kidney", [["left"], ["left", "kidney"]]) == ["left", "kidney"]


def test_alternative_in_a_question_is_found():
    assert choice_and_alternative(["left"], "Is it on the left or on the right?") == [["left"], ["right"]]
    assert choice_and_alternative(["right"], "Is it left or right?") == [["right"], ["left"]]
    assert choice_and_alternative(["axial"], "Which plane is this?") == [["axial"]]
