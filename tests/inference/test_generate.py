"""Greedy decoding: where answers end."""

import numpy as np
import pytest
import torch

from refrad.inference.generate import GeneratedText, generate

IMAGE = np.zeros((64, 64, 3), np.uint8)
PROMPT = "<image>\n\nLocate: Liver "


class Parrot:
    """A model that answers each prompt of a batch with given tokens, filled up with padding as transformers does."""

    device = torch.device("cpu")

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
