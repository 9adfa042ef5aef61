"""Greedy decoding: where answers end, which words may follow, and what is computed."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PaliGemmaConfig

from refrad.inference.generate import GeneratedText, generate
from refrad.model.radgrounder import tiny_model
from refrad.model.tag_grammar import WellFormed

IMAGE = np.zeros((64, 64, 3), np.uint8)
PROMPT = "<image>\n\nLocate: Liver "


class Parrot:
    """A model that answers each prompt of a batch with given tokens, filled up with padding as transformers does."""

    device, config = torch.device("cpu"), PaliGemmaConfig()

    def __init__(self, processor, answers):
        self.pad, self.answers = processor.tokenizer.pad_token_id, answers

    def eval(self):
        return self

    def generate(self, input_ids, max_new_tokens, **_):
        answers = [answer[:max_new_tokens] for answer in self.answers]
        width = max(map(len, answers))
        padded = [answer + [self.pad] * (width - len(answer)) for answer in answers]
        return torch.cat([input_ids, torch.tensor(padded)], dim=1)


@pytest.fixture(scope="module")
def answer_tokens(processor):
    def answer_tokens(text, eos=True):
        tokens = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        return tokens + [processor.tokenizer.eos_token_id] * eos

    return answer_tokens


def test_answer_without_eos_is_cut(processor, answer_tokens):
    ended, other = answer_tokens("Liver"), answer_tokens("spleen Liver spleen Liver")
    limit = len(ended)
    assert len(other) > limit
    parrot = Parrot(processor, [ended, other])
    first, second = generate(parrot, processor, [IMAGE] * 2, [PROMPT] * 2, limit)
    assert first == GeneratedText("Liver", limit, False)
    assert (second.tokens, second.cut) == (limit, True) and "spleen Liver".startswith(second.text[:6])


def test_eos_in_the_last_allowed_place_ends_the_answer(processor, answer_tokens):
    tokens = answer_tokens("spleen")
    for limit, cut in ((len(tokens), False), (len(tokens) - 1, True)):
        (answer,) = generate(Parrot(processor, [tokens]), processor, [IMAGE], [PROMPT], limit)
        assert answer == GeneratedText("spleen", limit, cut)


def test_empty_answer_has_one_token(processor, answer_tokens):
    (answer,) = generate(Parrot(processor, [answer_tokens("")]), processor, [IMAGE], [PROMPT], 8)
    assert answer == GeneratedText("", 1, False)


def allowed_words(grammar, row):
    """The words that may follow a row, as first and last (exclusive): the grammar in words, one row at a time; None for any."""
    if row[-1] == grammar.id:
        return grammar.seg, grammar.seg + 128
    if row[-2] == grammar.id:
        return grammar.end, grammar.end + 1
    if grammar.tag not in row:
        return None
    sides = row[len(row) - row[::-1].index(grammar.tag) :]
    if len(sides) == 4:
        return grammar.id, grammar.id + 1
    least = sides[len(sides) - 2] if len(sides) >= 2 else grammar.loc
    return least, grammar.loc + 512


@given(st.data())
def test_grammar_of_a_batch_is_that_of_each_row(processor, data):
    grammar = WellFormed(processor)
    locations = [grammar.loc + number for number in (0, 1, 255, 511, 600)]
    word = st.sampled_from([grammar.tag, grammar.id, grammar.seg, grammar.seg + 127, grammar.end, 7, *locations])
    width = data.draw(st.integers(2, 7))
    rows = data.draw(st.lists(st.lists(word, min_size=width, max_size=width), min_size=1, max_size=5))
    scores = torch.randn(len(rows), len(processor.tokenizer))
    masked = grammar(torch.tensor(rows), scores)
    for row, before, after in zip(rows, scores, masked, strict=True):
        first, end = allowed_words(grammar, row[-5:]) or (0, len(before))
        expected = torch.full_like(before, -torch.inf)
        expected[first:end] = before[first:end]
        assert after.equal(expected)


@pytest.fixture(scope="module")
def model(processor):
    return tiny_model(processor, seed=1)


def test_each_word_is_computed_once(processor, model, monkeypatch):
    """With the cache of keys and values a step computes one place of each row; without it, all of them again."""
    widths = []
    forward = model.model.language_model.forward
    monkeypatch.setattr(
        model.model.language_model,
        "forward",
        lambda *args, **words: widths.append(words["inputs_embeds"].shape[1]) or forward(*args, **words),
    )
    generate(model, processor, [IMAGE], [PROMPT], 5)
    assert widths[0] > 64 and set(widths[1:]) == {1} and len(widths) <= 5


def test_answers_do_not_depend_on_the_batch(processor, model):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (64, 64, 3), np.uint8) for _ in range(7)]
    prompts = [f"<image>\n\nLocate: {'Liver, ' * (number % 3)}spleen " for number in range(7)]
    singly = generate(model, processor, pictures, prompts, 12, batch=1)
    assert all(generate(model, processor, pictures, prompts, 12, batch) == singly for batch in (2, 3, 7))


def test_decoding_ends_with_the_last_answer_of_a_batch(processor, model, monkeypatch):
    monkeypatch.setattr(WellFormed, "__call__", lambda _, __, scores: forced(scores, processor.tokenizer.eos_token_id))
    steps = []
    forward = model.model.language_model.forward
    monkeypatch.setattr(
        model.model.language_model, "forward", lambda *args, **words: steps.append(1) or forward(*args, **words)
    )
    assert generate(model, processor, [IMAGE] * 3, [PROMPT] * 3, 50) == [GeneratedText("", 1, False)] * 3
    assert len(steps) == 1


def forced(scores, word):
    return torch.full_like(scores, -torch.inf).index_fill(1, torch.tensor([word]), 0.0)
