import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from refrad.evaluation.metrics.bertscore import BertScore

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "liver", "is", "normal", "cyst", ".", "no"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """The folder of a random BERT of two layers that knows twelve word pieces."""
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(PIECES),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast(vocab={piece: number for number, piece in enumerate(PIECES)}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def score(encoder):
    return BertScore(encoder)


def by_definition(folder, answer, true, layer=-1):
    """F1 by the definition, one text at a time: the reference of the package bert-score, which agrees to six digits."""
    model, tokenizer = BertModel.from_pretrained(folder).eval(), BertTokenizerFast.from_pretrained(folder)

    def vectors(text):
        inputs = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            states = model(**inputs, output_hidden_states=True).hidden_states[layer][0].numpy()
        return states / np.linalg.norm(states, axis=1, keepdims=True)

    cosines = vectors(answer) @ vectors(true).T
    # The marks of start and end, first and last, have no weight, but may be the best match.
    precision, recall = cosines.max(1)[1:-1].mean(), cosines.max(0)[1:-1].mean()
    return 2 * precision * recall / (precision + recall)


def test_bertscore_follows_its_definition_in_any_batch(encoder, score):
    answers = ["cyst", "no", "the liver is normal .", "cyst the the liver"]
    references = ["no cyst", "the liver", "no cyst .", "liver cyst is normal . no no"]
    expected = [by_definition(encoder, *pair) for pair in zip(answers, references, strict=True)]
    np.testing.assert_allclose(score(answers, references), expected, atol=1e-5)
    np.testing.assert_allclose(score(answers[:1], references[:1]), expected[:1], atol=1e-5)


def test_layer_is_chosen(encoder):
    pair = ["cyst", "no cyst"]
    (first,) = BertScore(encoder, 1)(["cyst"], ["no cyst"])
    assert first == pytest.approx(by_definition(encoder, *pair, layer=1), abs=1e-5)
    assert first != pytest.approx(by_definition(encoder, *pair, layer=2), abs=1e-5)
    with pytest.raises(ValueError, match="layers 0 to 2"):
        BertScore(encoder, 3)


def test_equal_texts_score_one_and_empty_ones_zero(score):
    assert score(["the liver is normal ."], ["the liver is normal ."])[0] == pytest.approx(1, abs=1e-5)
    assert score(["", "liver", " "], ["liver", "", ""]).tolist() == [0, 0, 0]
    assert score([], []).tolist() == []


def test_texts_beyond_the_length_of_the_model_are_cut(score):
    # 32 positions, of which two are the marks: the words behind the thirtieth are not read.
    long = " ".join(["cyst"] * 30)
    assert score([long + " liver"], [long + " no no"])[0] == pytest.approx(1, abs=1e-5)


def test_folder_without_an_encoder_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="transformers cannot load an encoder"):
        BertScore(tmp_path)
