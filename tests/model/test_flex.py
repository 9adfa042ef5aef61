"""Flex attention is what a GPU trains with. On a processor it runs unfused: slower, with the same mask and soft-cap."""

import pytest
import torch
from transformers.integrations import flex_attention

from refrad.dataset.example_rows import TableRows
from refrad.dataset.examples import read_image_table
from refrad.model.collate import collate
from refrad.model.packing import pack
from refrad.model.radgrounder import load_model, save_model, tiny_model
from refrad.training.objective import batch_loss
from refrad.training.samples import SampleOptions, Samples, surface_forms

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch.nn.attention.flex_attention")


@pytest.fixture(scope="module")
def batch(images, schema, processor):
    frame = read_image_table([images], {"train"})
    names = surface_forms(TableRows(frame).classes.meanings, schema)
    samples = Samples(
        TableRows(frame), names, SampleOptions(64, "yxyx", {"locate": 1.0, "detect": 1.0, "vqa": 0.0}, 0, None)
    )
    return collate(processor, [samples[0, index] for index in range(4)])


def in_both(processor, tmp_path_factory, strength):
    """The same weights with eager and with flex attention, the scores of attention `strength` times as large."""
    model = tiny_model(processor, 0)
    for layer in model.model.language_model.layers:
        layer.self_attn.q_proj.weight.data *= strength
    folder = tmp_path_factory.mktemp("flex")
    save_model(model, processor, folder)
    return [load_model(folder, processor, attention) for attention in ("eager", "flex_attention")]


@pytest.fixture(scope="module")
def both(processor, tmp_path_factory):
    return in_both(processor, tmp_path_factory, 1)


@pytest.fixture(autouse=True)
def unfused():
    with torch.compiler.set_stance("force_eager"):
        yield


def test_the_prefix_mask_is_that_of_eager_attention(both, batch):
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    there = batch["attention_mask"].bool()
    assert not there.all() and (batch["token_type_ids"] == 1).any()
    with torch.no_grad():
        eager, flex = (model.eval()(**inputs).logits[there] for model in both)
        assert torch.allclose(eager, flex, atol=1e-5)
        causal = both[0](**{name: one for name, one in inputs.items() if name != "token_type_ids"}).logits[there]
    assert (eager - causal).abs().max() > 0.1  # so a lost prefix would have been seen


def test_the_soft_cap_is_that_of_eager_attention(processor, tmp_path_factory, batch, monkeypatch):
    eager, flex = in_both(processor, tmp_path_factory, 30)  # so that the cap, at 50, tells
    inputs, there = {name: one for name, one in batch.items() if name != "labels"}, batch["attention_mask"].bool()
    with torch.no_grad():
        capped = flex.eval()(**inputs).logits[there]
        assert torch.allclose(eager.eval()(**inputs).logits[there], capped, atol=1e-3)
        for layer in flex.model.language_model.layers:
            monkeypatch.setattr(layer.self_attn, "attn_logit_softcapping", None)
        assert (flex(**inputs).logits[there] - capped).abs().max() > 0.1


@pytest.mark.parametrize("limit", [None, 300])
def test_losses_are_those_of_eager_attention(both, batch, limit):
    with torch.no_grad():  # torch has no backward pass of flex attention for processors
        eager, flex = (batch_loss(model, pack(batch, limit) if limit else batch).item() for model in both)
    assert flex == pytest.approx(eager, abs=1e-5)


def test_query_key_and_value_reach_flex_attention_in_one_dtype(both, batch, monkeypatch):
    """Rotary embedding makes float32 of query and key under autocast, so they would differ from the value."""
    dtypes, attend = [], flex_attention.compile_friendly_flex_attention

    def spy(query, key, value, **options):
        dtypes.append((query.dtype, key.dtype, value.dtype))
        return attend(query, key, value, **options)

    monkeypatch.setattr(flex_attention, "compile_friendly_flex_attention", spy)
    with torch.no_grad():
        eager, flex = (batch_loss(model, batch, compute_dtype="bfloat16").item() for model in both)
        batch_loss(both[1], batch)
    layers = both[1].config.get_text_config().num_hidden_layers
    assert dtypes == [(torch.bfloat16,) * 3] * layers + [(torch.float32,) * 3] * layers
    assert flex == pytest.approx(eager, rel=0.01)
