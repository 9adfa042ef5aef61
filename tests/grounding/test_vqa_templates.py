"""Template questions: true of their image, in line with its captions, worded well, and not answered by their words alone."""

import dataclasses
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from tests.factories.cohort import draw_cohort

from refrad.anatomy.lexicon import load_lexicon
from refrad.anatomy.schema import load_schema
from refrad.grounding.structure_nouns import noun_of
from refrad.grounding.vqa_checks import ImageFacts, VqaChecks, VqaPair
from refrad.grounding.vqa_findings import FINDINGS, Finding
from refrad.grounding.vqa_templates import TEMPLATES, write_questions

ANATOMY = Path(__file__).resolve().parents[2] / "workflow" / "anatomy"
SCHEMA = load_schema(ANATOMY / "classes.yaml")
CHECKS = VqaChecks(SCHEMA, load_lexicon(ANATOMY / "lexicon.yaml"))
IDS = {
    language: {
        name: c.id for c in SCHEMA.classes for name in (noun_of(c, language).subject, noun_of(c, language).label)
    }
    for language in ("de", "en")
}
FACTS = ImageFacts("a", "CT", "axial", True, {5: 900, 2: 100, 1: 80}, {"en": [5, 2]}, {5: 200.0, 2: 62.5, 1: 80.0})


def image(name, areas, named=(), **changes):
    """An image with these areas; captions in English name `named`."""
    return dataclasses.replace(
        FACTS, instance=name, areas=areas, named={"en": list(named or areas)}, widths={}, **changes
    )


def kind_of(pair):
    """The key of the template of a question: the one that shares its beginning and its end."""
    for kind, template in TEMPLATES[pair.language].items():
        start, _, tail = template.partition("{")
        end = tail.rpartition("}")[2]
        if pair.question == template if not tail else pair.question.startswith(start) and pair.question.endswith(end):
            return kind
    raise AssertionError(pair.question)


def structure_of(pair):
    """The class that a question names, or None."""
    matches = [name for name in IDS[pair.language] if name in pair.question]
    return IDS[pair.language][max(matches, key=len)] if matches else None


@st.composite
def random_images(draw):
    """Images with a few classes of one neighbourhood, so that they share questions."""
    images = []
    for number in range(draw(st.integers(2, 12))):
        visible = draw(st.dictionaries(st.integers(1, 30), st.integers(1, 5000), min_size=1, max_size=10))
        named = draw(st.lists(st.sampled_from(sorted(visible)), min_size=1, max_size=4))
        images.append(
            ImageFacts(
                f"{number}{draw(st.text('0123456789abcdef', max_size=3))}",
                "CT",
                draw(st.sampled_from(["axial", "coronal", "oblique"])),
                draw(st.sampled_from([None, True, False])),
                visible,
                dict.fromkeys(draw(st.sampled_from([["de"], ["en"], ["de", "en"]])), named),
                {class_id: draw(st.floats(1, 400)) for class_id in visible},
                {"en": ["Simple cyst."]} if draw(st.booleans()) else {},
                draw(st.sampled_from(["train", "test"])),
                frozenset(named) | draw(st.frozensets(st.integers(1, 30), max_size=3)),
                draw(st.frozensets(st.integers(1, 30), max_size=3)),
            )
        )
    return images


@settings(max_examples=40, deadline=None)
@given(random_images())
def test_pair_passes_its_checks_and_is_true_of_its_image(images):
    for facts, pairs in zip(images, write_questions(images, SCHEMA, 5, 3), strict=True):
        assert len({(pair.language, pair.question, pair.choices) for pair in pairs}) == len(pairs)
        for pair in pairs:
            assert CHECKS.check_pair(pair, facts) is None, pair
            kind = kind_of(pair)
            if kind == "visible":
                assert (structure_of(pair) in facts.areas) == (pair.answer in ("yes", "ja"))
            if kind == "width":
                width = facts.widths[structure_of(pair)] / 10
                assert abs(float(pair.answer[:-3].replace(",", ".")) - width) <= 0.05 + 1e-9
            if kind in ("which", "larger"):
                ids = [IDS[pair.language][choice] for choice in pair.choices]
                visible = [class_id for class_id in ids if class_id in facts.areas]
                assert len(visible) == (1 if kind == "which" else 2)
                assert IDS[pair.language][pair.answer] == max(visible, key=lambda class_id: facts.areas[class_id])


@settings(max_examples=40, deadline=None)
@given(random_images())
def test_no_question_contradicts_a_caption_of_its_image(images):
    for facts, pairs in zip(images, write_questions(images, SCHEMA, 9, 0), strict=True):
        related = {relative for class_id in facts.affirmed for relative in SCHEMA.related[class_id]}
        for pair in pairs:
            kind = kind_of(pair)
            denied, called_visible = [], []
            if kind == "visible":
                (called_visible if pair.answer in ("yes", "ja") else denied).append(structure_of(pair))
            elif kind == "which":
                ids = {choice: IDS[pair.language][choice] for choice in pair.choices}
                called_visible.append(ids.pop(pair.answer))
                denied += ids.values()
            elif kind == "larger":
                called_visible += [IDS[pair.language][choice] for choice in pair.choices]
            assert not facts.affirmed.union(related) & set(denied)
            assert not facts.denied & set(called_visible)
            assert not facts.texts or not {23, 24} & set(denied)  # a caption has the word cyst


@settings(max_examples=20, deadline=None)
@given(random_images(), st.integers(0, 5), st.integers(0, 4))
def test_number_of_pairs_is_limited_in_each_language(images, findings, metadata):
    for facts, pairs in zip(images, write_questions(images, SCHEMA, findings, metadata), strict=True):
        for language in ("de", "en"):
            topics = Counter(pair.topic for pair in pairs if pair.language == language)
            assert topics["findings"] <= findings and topics["metadata"] <= metadata
            assert not topics or language in facts.named


@settings(max_examples=40, deadline=None)
@given(random_images(), st.randoms())
def test_order_of_images_changes_no_question(images, random):
    images = list({facts.instance: facts for facts in images}.values())
    shuffled = random.sample(images, len(images))
    first, second = (
        {facts.instance: pairs for facts, pairs in zip(some, write_questions(some, SCHEMA, 5, 3), strict=True)}
        for some in (images, shuffled)
    )
    assert first == second


def cohort_pairs(patients=160, seed=5, findings=5, metadata=3):
    pictures = draw_cohort(SCHEMA, patients, seed)
    images = [dataclasses.replace(picture.facts, named={"en": picture.facts.named["en"]}) for picture in pictures]
    return list(zip(images, write_questions(images, SCHEMA, findings, metadata), strict=True))


@pytest.fixture(scope="module")
def cohort():
    return cohort_pairs()


def options_of(pair):
    return pair.choices or ("yes", "no")


def features_of(pair, option):
    """What the words of a question say about an option: words, choices, position, and rank of a number."""
    names = [f"{word} {option}" for word in [pair.question, *pair.question.split(), *pair.choices, ""]]
    if pair.choices:
        names.append(f"position {pair.choices.index(option)}")
        if option.endswith(" cm"):
            names.append(f"rank {sorted(float(choice[:-3]) for choice in pair.choices).index(float(option[:-3]))}")
    return dict.fromkeys(names, 1)


def blind_accuracy(train, test):
    """Accuracy of a model that reads the words of the questions alone."""
    vectorizer = DictVectorizer()
    options = [(pair, option) for pair in train for option in options_of(pair)]
    features = vectorizer.fit_transform([features_of(*option) for option in options])
    model = LogisticRegression(max_iter=300).fit(features, [option == pair.answer for pair, option in options])
    right = []
    for pair in test:
        scores = model.decision_function(
            vectorizer.transform([features_of(pair, option) for option in options_of(pair)])
        )
        right.append(options_of(pair)[int(np.argmax(scores))] == pair.answer)
    return float(np.mean(right))


@pytest.mark.parametrize(
    "kind", ["visible", "which", "larger", "width", "side", "plane", "modality", "region", "contrast"]
)
def test_words_of_a_question_do_not_answer_it(cohort, kind):
    halves = {
        split: [pair for facts, pairs in cohort if facts.split == split for pair in pairs if kind_of(pair) == kind]
        for split in ("train", "test")
    }
    train, test = halves["train"], halves["test"]
    assert min(len(train), len(test)) > 15
    chance = 1 / len(options_of(test[0]))
    margin = 3 * np.sqrt(chance * (1 - chance) / len(test))
    assert abs(blind_accuracy(train, test) - chance) < margin


def test_blind_baseline_finds_a_shortcut(cohort):
    """Questions about named structures and about any structure that is not there, as they come: most are answered blindly."""
    rng = np.random.default_rng(0)
    halves = {"train": [], "test": []}
    for facts, _ in cohort:
        absent = [structure.id for structure in SCHEMA.classes if structure.id not in facts.areas]
        asked = {facts.named["en"][0]: "yes", absent[int(rng.integers(len(absent)))]: "no"}
        for class_id, answer in asked.items():
            question = f"Is {noun_of(SCHEMA.by_id[class_id], 'en').subject} visible?"
            halves[facts.split].append(VqaPair("en", "findings", "yesno", question, (), answer))
    assert blind_accuracy(**halves) > 0.65


@pytest.mark.parametrize("split", ["train", "test"])
def test_answers_to_a_question_are_right_equally_often(cohort, split):
    pairs = [pair for facts, pairs in cohort if facts.split == split for pair in pairs if pair.kind != "open"]
    right = defaultdict(Counter)
    for pair in pairs:
        if kind_of(pair) not in ("width", "which"):
            right[pair.question, frozenset(pair.choices)][pair.answer] += 1
    for (_, choices), counts in right.items():
        answers = choices or {"yes", "no"}
        assert max(counts[answer] for answer in answers) - min(counts[answer] for answer in answers) <= 1


def test_class_that_is_a_choice_is_right_in_a_quarter_of_its_questions(cohort):
    shown, right = Counter(), Counter()
    for facts, pairs in cohort:
        for pair in pairs:
            if kind_of(pair) == "which":
                shown.update((facts.split, choice) for choice in pair.choices)
                right[facts.split, pair.answer] += 1
    assert sum(right.values()) > 80
    assert all(abs(right[key] - count / 4) <= 2 for key, count in shown.items())


def test_true_width_is_in_any_place_among_many_ratios(cohort):
    places, ratios = Counter(), set()
    for _, pairs in cohort:
        for pair in pairs:
            if kind_of(pair) == "width":
                width = float(pair.answer[:-3])
                widths = sorted(float(choice[:-3]) for choice in pair.choices)
                places[widths.index(width)] += 1
                ratios.update(round(wrong / width, 1) for wrong in widths if wrong != width)
                assert all(large >= 1.1 * small for small, large in pairwise(widths))
    total = sum(places.values())
    assert all(abs(places[place] - total / 4) < 3 * np.sqrt(total * 3 / 16) for place in range(4))
    assert len(ratios) > 10


def test_common_and_rare_kinds_are_all_asked(cohort):
    kinds = Counter(kind_of(pair) for _, pairs in cohort for pair in pairs)
    assert kinds.keys() == TEMPLATES["en"].keys()
    findings = sum(pair.topic == "findings" for _, pairs in cohort for pair in pairs)
    assert findings / len(cohort) > 2.5


def asked(images, kind, findings=9, metadata=9):
    """The questions of a kind about images, as {instance: pairs}."""
    pairs = write_questions(images, SCHEMA, findings, metadata)
    kinds = {
        facts.instance: [pair for pair in some if kind_of(pair) == kind]
        for facts, some in zip(images, pairs, strict=True)
    }
    return {instance: some for instance, some in kinds.items() if some}


LEFT, RIGHT = image("l", {3: 500, 5: 900}, [3]), image("r", {2: 500, 5: 900}, [2])


def test_side_is_asked_where_one_side_is_visible():
    ((pair,),) = asked([LEFT, RIGHT], "side").values()
    assert pair.question == "On which side of the body is the kidney that the image shows?"
    assert set(pair.choices) == {"left", "right"}


@pytest.mark.parametrize(
    "change",
    [
        {"areas": {3: 500, 2: 400}},
        {"named": {"en": [5]}},
        {"affirmed": frozenset({2})},
        {"denied": frozenset({3})},
    ],
    ids=["both visible", "not named", "caption names the other side", "called absent"],
)
def test_side_is_not_asked_otherwise(change):
    assert not asked([dataclasses.replace(LEFT, **change), RIGHT], "side")


def test_whole_or_part_of_the_other_side_counts_as_visible():
    lobes, lung = image("l", {11: 500}, [11]), image("r", {14: 500}, [14])
    assert asked([lobes, lung], "side")
    assert not asked([dataclasses.replace(lobes, areas={11: 500, 119: 5}), lung], "side")


def test_larger_is_asked_only_where_either_may_be():
    first, second = image("1", {1: 100, 5: 900}), image("2", {1: 900, 5: 100})
    assert asked([first, second], "larger")
    assert not asked([first, image("2", {1: 100, 5: 800})], "larger")
    assert not asked([first, image("2", {1: 190, 5: 100})], "larger")


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("plane", {"plane": "coronal"}),
        ("modality", {"modality": "MR"}),
        ("region", {"areas": {51: 700}, "named": {"en": [51]}}),
        ("contrast", {"contrast": False}),
    ],
)
def test_slice_is_asked_about_only_where_slices_differ(kind, changes):
    first = image("1", {5: 900})
    ((pair,),) = asked(
        [first, image("2", {5: 900}), dataclasses.replace(first, instance="3", **changes)], kind
    ).values()
    assert pair.kind == "multiple" and len(pair.choices) == 2
    assert not asked([first, image("2", {5: 900})], kind)


def test_splits_are_not_paired_with_each_other():
    train, test = (dataclasses.replace(LEFT, split="train"), dataclasses.replace(RIGHT, split="test"))
    assert not asked([train, test], "side")


def test_finding_and_its_size_are_asked_about():
    facts = dataclasses.replace(
        FACTS,
        named={"de": [2], "en": [2]},
        texts={"de": ["1,2 cm große Zyste der rechten Niere."], "en": ["1.2 cm cyst of the right kidney."]},
        findings={"de": [Finding(2, "cyst", "1,2 cm")], "en": [Finding(2, "cyst", "1.2 cm")]},
    )
    (pairs,) = write_questions([facts], SCHEMA, 5, 0)
    assert {pair.question: pair.answer for pair in pairs} == {
        "Wie groß ist die Zyste in der rechten Niere?": "1,2 cm",
        "Was ist in der rechten Niere zu sehen?": "eine Zyste",
        "How large is the cyst in the right kidney?": "1.2 cm",
        "What is seen in the right kidney?": "a cyst",
    }
    assert all(CHECKS.check_pair(pair, facts) is None for pair in pairs)


@pytest.mark.parametrize("kind", FINDINGS["en"])
@pytest.mark.parametrize("language", ["de", "en"])
def test_question_about_a_finding_passes_its_checks(language, kind):
    noun = FINDINGS[language][kind]
    for class_id in (1, 3, 14, 27, 51, 92):
        text = f"{noun.definite} {noun_of(SCHEMA.by_id[class_id], language).location}, 8 mm."
        facts = image(
            "f", {class_id: 100}, texts={language: [text]}, findings={language: [Finding(class_id, kind, "8 mm")]}
        )
        (pairs,) = write_questions([dataclasses.replace(facts, named={language: [class_id]})], SCHEMA, 5, 0)
        assert [CHECKS.check_pair(pair, facts) for pair in pairs] == [None, None], pairs


@pytest.mark.parametrize("language", ["de", "en"])
@pytest.mark.parametrize("structure", SCHEMA.classes, ids=lambda structure: structure.name)
def test_question_about_a_class_passes_its_checks(structure, language):
    noun = noun_of(structure, language)
    verb = {"en": ("Is", "Are"), "de": ("Ist", "Sind")}[language][noun.plural]
    question = f"{verb} {noun.subject} {'visible' if language == 'en' else 'zu sehen'}?"
    pair = VqaPair(language, "findings", "yesno", question, (), {"en": "yes", "de": "ja"}[language])
    assert CHECKS.check_pair(pair, image("i", {structure.id: 900})) is None


@pytest.mark.parametrize(
    ("name", "english", "german"),
    [
        ("kidney_left", "Is the left kidney visible?", "Ist die linke Niere zu sehen?"),
        ("rib_right_12", "Is the right 12th rib visible?", "Ist die 12. Rippe rechts zu sehen?"),
        ("vertebrae_L4", "Is the L4 vertebra visible?", "Ist LWK 4 zu sehen?"),
        ("costal_cartilages", "Are the costal cartilages visible?", "Sind die Rippenknorpel zu sehen?"),
        (
            "portal_vein_and_splenic_vein",
            "Are the portal and splenic veins visible?",
            "Sind die Pfortader und die Milzvene zu sehen?",
        ),
        ("kidney_cyst_left", "Is a left kidney cyst visible?", "Ist eine linke Nierenzyste zu sehen?"),
    ],
)
def test_question_is_worded_naturally(name, english, german):
    class_id = SCHEMA.by_name[name].id
    neighbour = next(
        c.id for c in SCHEMA.classes if c.region == SCHEMA.by_id[class_id].region and c.id != class_id and c.native
    )
    shown, hidden = {class_id: 900}, {neighbour: 900}
    images = [
        dataclasses.replace(image(f"{number}", areas), named={"de": [*areas], "en": [*areas]})
        for number, areas in enumerate([shown, hidden] * 4)
    ]
    questions = {pair.question for pairs in asked(images, "visible").values() for pair in pairs}
    assert {english, german} <= questions
