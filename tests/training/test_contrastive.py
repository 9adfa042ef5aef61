import itertools
from math import comb, exp, log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import AUGMENT

from refrad.dataset.example_rows import TableRows
from refrad.dataset.examples import read_image_table
from refrad.model.processor import tiny_processor
from refrad.model.radgrounder import tiny_model
from refrad.model.siglip import load_siglip, replace_vision_tower, save_siglip, tiny_siglip
from refrad.training.contrastive import (
    Pairs,
    chance_of,
    contrast_loss,
    measure_retrieval,
    pair_batches,
    recall_at,
    sigmoid_loss,
)
from refrad.training.dataloader import DataPosition

TEXTS = ["Liver and spleen are normal.", "Cyst of the liver."]


@pytest.fixture(scope="module")
def siglip():
    return tiny_siglip(TEXTS * 4, 64, 0)


@pytest.fixture(scope="module")
def pairs(images, siglip):
    return Pairs(TableRows(read_image_table([images], {"train"})), siglip[0], 64, 0, AUGMENT)


def test_the_loss_is_a_yes_or_no_for_each_pair():
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    by_hand = (log(1 + exp(-2)) + log(1 + exp(-1)) + log(1 + exp(0.5)) + log(1 + exp(-3))) / 2
    assert sigmoid_loss(logits, torch.eye(2, dtype=torch.bool)).item() == pytest.approx(by_hand)


def test_it_is_the_loss_of_transformers_where_no_caption_is_shared(siglip, pairs):
    _, model = siglip
    batch = pairs[DataPosition(), [(0, index) for index in range(3)]].tensors | {
        "matches": torch.eye(3, dtype=torch.bool)
    }
    stock = model(input_ids=batch["input_ids"], pixel_values=batch["pixel_values"], return_loss=True).loss
    assert contrast_loss(model, batch).item() == pytest.approx(stock.item(), rel=1e-5)


def test_a_caption_that_images_share_is_a_match_of_each(pairs):
    batch = pairs[DataPosition(), [(0, index) for index in range(4)]].tensors
    assert batch["matches"].all()  # all made-up images have one and the same caption


def test_the_batches_can_be_taken_up_anywhere_and_are_the_same_with_workers(pairs):
    alone, helped = (list(itertools.islice(pair_batches(pairs, 7, DataPosition(), n), 5)) for n in (0, 2))
    for one, other in zip(alone, helped, strict=True):
        assert one.position == other.position and one.tensors["pixel_values"].equal(other.tensors["pixel_values"])
    again = next(pair_batches(pairs, 7, alone[2].position, 0))  # over the end of an epoch
    assert again.position == alone[3].position and again.tensors["pixel_values"].equal(alone[3].tensors["pixel_values"])


def test_captions_longer_than_the_text_tower_are_counted(images, siglip, monkeypatch):
    tokenizer, _ = siglip
    pairs = Pairs(TableRows(read_image_table([images], {"train"})), tokenizer, 64, 0, None)
    assert pairs.count_cut() == 0
    words = 64 - len(tokenizer("")["input_ids"])  # as many fit, next to the start or the end of a text
    texts = ["\n" * words, "\n" * (words + 1), "\n" * 300]
    assert [len(tokenizer(text)["input_ids"]) for text in texts] == [64, 65, 64 - words + 300]
    monkeypatch.setattr(pairs, "texts", lambda row: ["Liver."] if row else texts)
    assert pairs.count_cut() == 2


def test_recall_counts_any_of_the_matches():
    scores = torch.tensor([[0.9, 0.8, 0.1], [0.2, 0.7, 0.6]])
    matches = torch.tensor([[False, True, False], [True, False, True]])
    assert [recall_at(scores, matches, k) for k in (1, 2, 9)] == [0.0, 1.0, 1.0]


@given(st.integers(1, 9), st.integers(0, 9), st.integers(1, 12))
def test_chance_is_that_of_drawing_without_putting_back(n, found, k):
    found, drawn = min(found, n), min(k, n)
    matches = torch.zeros(1, n, dtype=torch.bool)
    matches[0, :found] = True
    assert chance_of(matches, k) == pytest.approx(1 - comb(n - found, drawn) / comb(n, drawn))


def test_random_scores_find_as_much_as_chance():
    generator = torch.Generator().manual_seed(0)
    matches = torch.rand(4000, 20, generator=generator) < 0.1
    found = recall_at(torch.rand(4000, 20, generator=generator), matches, 5)
    assert found == pytest.approx(chance_of(matches, 5), abs=0.03)


def test_retrieval_tells_texts_apart_once(images, siglip):
    tokenizer, model = siglip
    found = measure_retrieval(
        model.eval(), Pairs(TableRows(read_image_table([images], {"validation"})), tokenizer, 64, 0, None), 100
    )
    assert (found["images"], found["captions"]) == (4, 1)  # one text, of all images: it cannot be missed
    assert found["image to caption"]["recall@1"] == {"found": 1.0, "chance": 1.0}


def test_the_tower_goes_into_a_paligemma_and_no_other_shape_does(siglip, tmp_path):
    tokenizer, model = siglip
    save_siglip(tokenizer, model, tmp_path)
    paligemma = tiny_model(tiny_processor(TEXTS * 4, 64, 8, 320), 3)
    replace_vision_tower(paligemma, tmp_path)
    for name, value in paligemma.model.vision_tower.state_dict().items():
        assert value.equal(model.vision_model.state_dict()[name]), name
    with pytest.raises(ValueError, match="not shaped as the model's"):
        replace_vision_tower(tiny_model(tiny_processor(TEXTS * 4, 32, 8, 320), 3), tmp_path)
    again = load_siglip(tmp_path)
    ids = [one[0](TEXTS[1], padding="max_length")["input_ids"] for one in (siglip, again)]
    assert ids[0] == ids[1] and len(ids[0]) == 64


def test_what_is_no_siglip_stops_with_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="name a folder with a SigLIP"):
        load_siglip(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(ValueError, match="a siglip with both towers is needed"):
        load_siglip(tmp_path)
