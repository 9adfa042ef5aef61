import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.attention.flex_attention import create_mask

from refrad.dataset.example_rows import TableRows
from refrad.dataset.examples import read_image_table
from refrad.model.collate import collate
from refrad.model.forward import encode
from refrad.model.mask_head import mask_loss
from refrad.model.packing import dense_mask, pack, packed_mask, packed_mask_mod, pad_to_multiple, rows_of
from refrad.model.radgrounder import add_head, head_of, tiny_model
from refrad.training.dataloader import BatchOptions, load_batches
from refrad.training.objective import batch_loss
from refrad.training.samples import SampleOptions, Samples, surface_forms
from refrad.training.step import train
from refrad.training.train_config import TrainConfig
from refrad.training.validation import Validation

SHARES = {"locate": 0.5, "detect": 0.5, "vqa": 0.0}


@pytest.fixture(scope="module")
def make(images, schema):
    frame = read_image_table([images], {"train"})
    names = surface_forms(TableRows(frame).classes.meanings, schema)
    return lambda order="yxyx": Samples(TableRows(frame), names, SampleOptions(64, order, SHARES, 0, None))


@pytest.fixture(scope="module")
def batch(make, processor):
    """Seven samples of several lengths, each with its own picture."""
    tensors = collate(processor, [make()[0, index] for index in range(7)])
    assert len(set(tensors["attention_mask"].sum(1).tolist())) > 2
    return tensors


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40), st.integers(1, 700))
def test_rows_hold_every_sample_once_in_order_and_are_no_longer_than_allowed(lengths, limit):
    rows = rows_of(lengths, limit)
    assert [one for row in rows for one in row] == list(range(len(lengths)))
    sums = [sum(lengths[one] for one in row) for row in rows]
    assert max(sums) <= max(limit, *lengths) and min(sums) > 0


def test_rows_are_even():
    assert [len(row) for row in rows_of([330] * 8, 2048)] == [4, 4]  # not 6 and 2, which would pad a third
    assert [len(row) for row in rows_of([100, 100, 100, 600], 650)] == [3, 1]


def test_a_place_sees_the_prefix_of_its_own_sample_and_what_was_said_before():
    """By hand: samples A (two words of prefix, two of target) and B (one and one), and padding."""
    ids, types = torch.tensor([[0, 0, 0, 0, 1, 1, -1]]), torch.tensor([[0, 0, 1, 1, 0, 1, 0]])
    expected = [
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 1, 1, 0],
        [0, 0, 0, 0, 0, 0, 1],
    ]
    assert (dense_mask(ids, types)[0, 0] == 0).int().tolist() == expected


def test_flex_attention_is_told_the_same(batch):
    packed = pack(batch, 500)
    ids, types = packed["sample_ids"], packed["token_type_ids"]
    told = create_mask(packed_mask_mod(ids, types), len(ids), None, ids.shape[1], ids.shape[1], "cpu")
    assert told.equal(dense_mask(ids, types) == 0)
    blocks = packed_mask(ids, types, "flex_attention")
    assert blocks.shape == (len(ids), 1, ids.shape[1], ids.shape[1])


@pytest.mark.filterwarnings("ignore:flex_attention called without")
@pytest.mark.parametrize("limit", [64, 500, 10_000])
@pytest.mark.parametrize("attention", ["eager", "flex_attention"])
def test_the_logits_of_a_packed_sample_are_its_own(batch, processor, limit, attention):
    """Of every place of every sample, against those of the batch with a row each; capped as Gemma 2 caps them."""
    model = tiny_model(processor, 0).eval()
    packed = pack(batch, limit)
    assert len(packed["input_ids"]) == {64: 6, 500: 3, 10_000: 1}[limit]
    inputs = {name: one for name, one in batch.items() if name != "labels"}
    with torch.no_grad():
        plain = model(**inputs).logits
        model.config.get_text_config()._attn_implementation = attention
        with torch.compiler.set_stance("force_eager"):  # compiled for a processor it would take minutes
            _, hidden = encode(model, {name: one for name, one in packed.items() if name != "labels"})
    cap = model.config.get_text_config().final_logit_softcapping
    logits = cap * torch.tanh(model.lm_head(hidden) / cap)
    alone = plain[batch["attention_mask"] == 1]
    assert torch.allclose(logits[packed["sample_ids"] >= 0], alone, atol=1e-5)


@pytest.mark.parametrize("limit", [500, 10_000])
def test_loss_and_gradients_are_those_of_the_samples_in_rows_of_their_own(batch, processor, limit):
    model = tiny_model(processor, 0)
    found = []
    for tensors in (batch, pack(batch, limit)):
        model.zero_grad()
        loss = batch_loss(model, tensors)
        loss.backward()
        found.append((loss.detach(), [one.grad.clone() for one in model.parameters() if one.grad is not None]))
    (one, some), (other, others) = found
    assert torch.allclose(one, other, atol=1e-5)
    assert len(some) == len(others)
    for a, b in zip(some, others, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_each_sample_sees_its_own_picture_and_no_other(batch, processor):
    model = tiny_model(processor, 0).eval()
    packed = {name: one for name, one in pack(batch, 10_000).items() if name != "labels"}
    changed = packed | {"pixel_values": packed["pixel_values"].clone()}
    changed["pixel_values"][3] = 0.7
    with torch.no_grad():
        one, other = (encode(model, tensors)[1] for tensors in (packed, changed))
    differs = (one != other).any(-1)
    assert differs[packed["sample_ids"] == 3].all() and not differs[packed["sample_ids"] != 3].any()


def test_masks_are_drawn_in_the_picture_of_their_own_sample(make, processor):
    model = tiny_model(processor, 0)
    add_head(model, processor, 0)
    batch = collate(processor, [make(None)[0, index] for index in range(7)])
    packed = pack(batch, 500)
    head, drawn = head_of(model), []
    for tensors in (batch, packed):
        patches, hidden = encode(model, {n: one for n, one in tensors.items() if n not in ("labels", "masks")})
        ends = (tensors["labels"] == head.end).nonzero()
        images = tensors["sample_ids"][tuple(ends.T)] if "sample_ids" in tensors else None
        drawn.append(head(patches, hidden, ends, 64, images))
    assert len(drawn[0]) == len(batch["masks"]) and torch.allclose(*drawn, atol=1e-4)
    assert mask_loss(drawn[0], batch["masks"]).item() == pytest.approx(mask_loss(drawn[1], packed["masks"]).item())
    assert batch_loss(model, packed).item() == pytest.approx(batch_loss(model, batch).item(), abs=1e-5)


def test_a_packed_training_takes_the_steps_of_a_plain_one(make, processor):
    """The same batches, the same losses but for rounding; and with workers the same tensors."""
    curves = []
    for limit in (False, 600):
        model = tiny_model(processor, 0)
        recipe = TrainConfig(4, None, 6, 1, 1e-4, 0, pack_tokens=limit)
        curves.append(train(model, processor, make(), Validation(), recipe).curve)
    for one, other in zip(*curves, strict=True):
        assert one.loss == pytest.approx(other.loss, abs=1e-4)
    firsts = [
        list(itertools.islice(load_batches(make(), processor, BatchOptions(4, 0, workers=n, pack_tokens=600)), 3))
        for n in (0, 1)
    ]
    for one, other in zip(*firsts, strict=True):
        assert all(np.array_equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


@pytest.mark.parametrize("limit", [None, 300])
def test_padding_to_a_multiple_changes_neither_loss_nor_gradients(batch, processor, limit):
    tensors = pack(batch, limit) if limit else batch
    padded = pad_to_multiple(tensors, 128)
    assert tensors["input_ids"].shape[1] % 128 and padded["input_ids"].shape[1] % 128 == 0
    assert padded.keys() == tensors.keys() and padded["pixel_values"] is tensors["pixel_values"]
    results = []
    for rows in (tensors, padded):
        model = tiny_model(processor, 0)
        loss = batch_loss(model, rows)
        loss.backward()
        results.append((loss, [weight.grad for weight in model.parameters() if weight.grad is not None]))
    (loss, gradients), (padded_loss, padded_gradients) = results
    assert padded_loss.item() == pytest.approx(loss.item(), abs=1e-5)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(gradients, padded_gradients, strict=True))


@given(st.integers(1, 700), st.integers(1, 300))
def test_padded_length_is_the_next_multiple(length, multiple):
    padded = pad_to_multiple({"input_ids": torch.ones(2, length, dtype=torch.long)}, multiple)["input_ids"]
    assert padded.shape[1] % multiple == 0 and 0 <= padded.shape[1] - length < multiple
    assert padded.sum() == 2 * length


@pytest.mark.parametrize("limit", [False, 600])
def test_batches_of_a_training_have_lengths_of_the_multiple(make, processor, limit):
    options = BatchOptions(4, 0, pack_tokens=limit, length_multiple=64)
    batches = list(itertools.islice(load_batches(make(), processor, options), 12))
    plain = list(itertools.islice(load_batches(make(), processor, BatchOptions(4, 0, pack_tokens=limit)), 12))
    lengths, plain_lengths = ({one.tensors["labels"].shape[1] for one in each} for each in (batches, plain))
    assert all(length % 64 == 0 for length in lengths) and len(lengths) < len(plain_lengths)
