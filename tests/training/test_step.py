import dataclasses
import itertools
import time
from collections import Counter
from functools import partial

import pytest
import torch

from refrad.dataset.example_rows import TableRows
from refrad.dataset.examples import read_image_table
from refrad.model.collate import collate
from refrad.model.radgrounder import tiny_model
from refrad.training import objective
from refrad.training.checkpoint import Checkpoints
from refrad.training.dataloader import BatchOptions, batch_order, load_batches
from refrad.training.distributed import DistributedContext
from refrad.training.objective import batch_loss
from refrad.training.samples import SampleOptions, Samples, surface_forms
from refrad.training.step import train
from refrad.training.train_config import TrainConfig
from refrad.training.validation import Validation, collate_validation, draw_validation

SHARES = {"locate": 1.0, "detect": 0.0, "vqa": 0.0}


@pytest.fixture(scope="module")
def samples(images, schema):
    frame = read_image_table([images], {"train"})
    names = surface_forms(TableRows(frame).classes.meanings, schema)
    return Samples(TableRows(frame), names, SampleOptions(64, "yxyx", SHARES, 0, augment=None))


@pytest.fixture(scope="module")
def validation(samples, processor):
    return Validation(collate_validation(samples, processor, draw_validation(samples, SHARES, 16, 8), 8), SHARES)


def test_training_lowers_the_loss_and_says_what_it_did(samples, processor, validation):
    trained = train(tiny_model(processor, 0), processor, samples, validation, TrainConfig(30, None, 8, 1, 2e-3, 0))
    assert trained.curve[-1].loss < 0.7 * trained.curve[0].loss
    assert trained.curve[-1].validation_loss < trained.curve[0].validation_loss
    assert trained.steps == 30 and trained.tasks == {"locate": 240}


def test_time_ends_a_training_as_steps_do(samples, processor):
    trained = train(tiny_model(processor, 0), processor, samples, Validation(), TrainConfig(10_000, 2.0, 4, 1, 1e-3, 0))
    assert trained.steps < 10_000
    assert trained.curve[-1].validation_loss is None


def test_time_limit_is_shared_with_the_pretraining(samples, processor):
    limits = []
    config = TrainConfig(10_000, 2.0, 4, 1, 1e-3, 0)
    trained = train(
        *(tiny_model(processor, 0), processor, samples, Validation(), config),
        pretrain=lambda seconds: limits.append(seconds) or time.sleep(0.6) or [1.0],
    )
    assert limits == [1.0] and trained.prepared == [1.0] and trained.pretraining_seconds >= 0.6
    assert trained.steps < 10_000 and trained.curve[-1].seconds >= 2 - trained.pretraining_seconds


def test_accumulated_batches_are_one_step(samples, processor):
    trained = train(tiny_model(processor, 0), processor, samples, Validation(), TrainConfig(2, None, 4, 3, 1e-3, 0))
    assert sum(trained.tasks.values()) == 24


def test_workers_make_the_same_batches(samples, processor):
    firsts = [
        list(itertools.islice(load_batches(samples, processor, BatchOptions(4, 0, workers=n)), 8)) for n in (0, 2)
    ]
    for one, other in zip(*firsts, strict=True):
        assert (one.tasks, one.position) == (other.tasks, other.position)
        assert all(one.tensors[name].equal(other.tensors[name]) for name in one.tensors)


def test_the_order_of_batches_can_be_taken_up_anywhere(samples):
    turns = list(itertools.islice(batch_order(samples, 5, 3), 12))  # over the end of two epochs
    for number, (position, _) in enumerate(turns[:-1]):
        assert next(batch_order(samples, 5, 3, position)) == turns[number + 1]


def test_two_processes_are_dealt_what_one_would_get(samples, processor):
    alone = list(itertools.islice(load_batches(samples, processor, BatchOptions(4, 0)), 6))
    dealt = [
        list(itertools.islice(load_batches(samples, processor, BatchOptions(4, 0, rank=r, size=2)), 3)) for r in (0, 1)
    ]
    together = [one for pair in zip(*dealt, strict=True) for one in pair]
    for one, other in zip(alone, together, strict=True):
        assert one.tensors["input_ids"].equal(other.tensors["input_ids"])
    assert dealt[0][-1].position == dealt[1][-1].position == alone[-1].position


def test_batches_that_cannot_be_dealt_evenly_are_refused(samples, processor):
    with pytest.raises(ValueError, match="grad_accumulation is 1: no multiple of the 2 processes"):
        train(
            tiny_model(processor, 0),
            processor,
            samples,
            Validation(),
            TrainConfig(1, None, 4, 1, 1e-3, 0),
            context=PAIR,
        )


PAIR = DistributedContext(0, 2, torch.device("cpu"))


def test_batches_name_their_samples(samples, processor, images):
    ids = set(read_image_table([images], {"train"})["image_id"])
    for batch in itertools.islice(load_batches(samples, processor, BatchOptions(4, 0)), 3):
        assert len(batch.samples) == 4 and {sample.image_id for sample in batch.samples} <= ids
        for sample in batch.samples:
            assert samples[sample.epoch, sample.index].image_id == sample.image_id


@pytest.fixture
def batch(samples, processor):
    return collate(processor, [samples[0, index] for index in range(4)])


def test_no_prefix_sees_its_target(batch, processor):
    model = tiny_model(processor, 0).eval()
    prefix = (batch["token_type_ids"] == 0) & (batch["attention_mask"] == 1)
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    changed = inputs | {"input_ids": torch.where(batch["token_type_ids"] == 1, 7, batch["input_ids"])}
    assert not changed["input_ids"].equal(inputs["input_ids"])
    with torch.no_grad():
        one, other = (model(**each).logits[prefix] for each in (inputs, changed))
    assert one.equal(other)


def test_a_target_sees_no_later_word_and_the_prefix_sees_itself_whole(batch, processor):
    model = tiny_model(processor, 0).eval()
    inputs = {name: tensor[:1] for name, tensor in batch.items() if name != "labels"}
    last = int(inputs["attention_mask"].sum()) - 1
    first = int((inputs["token_type_ids"] == 0).sum(1)[0]) - 4  # a word of the prompt
    for position, affected in ((last, last), (first, 0)):  # a change at `position` changes `affected` and later ones
        ids = inputs["input_ids"].clone()
        ids[0, position] = 9
        with torch.no_grad():
            one, other = (model(**(inputs | {"input_ids": each})).logits[0] for each in (inputs["input_ids"], ids))
        differs = (one - other).abs().amax(1) > 0
        assert not differs[:affected].any() and differs[affected : last + 1].all()


def test_the_loss_is_that_of_the_stock_model(batch, processor):
    model = tiny_model(processor, 0)
    with torch.no_grad():
        stock = model(**batch).loss
    assert batch_loss(model, batch).item() == pytest.approx(stock.item(), abs=1e-5)


def test_a_frozen_tower_leaves_no_graph(batch, processor, monkeypatch):
    model = tiny_model(processor, 0)
    tower = model.model.vision_tower.requires_grad_(False)
    plain, graphs = tower.forward, []
    monkeypatch.setattr(tower, "forward", lambda **k: graphs.append(torch.is_grad_enabled()) or plain(**k))
    batch_loss(model, batch).backward()
    assert graphs == [False]
    assert model.model.multi_modal_projector.linear.weight.grad is not None
    tower.requires_grad_(True)
    batch_loss(model, batch).backward()
    assert graphs == [False, True] and tower.embeddings.patch_embedding.weight.grad is not None


def test_padding_changes_no_loss(samples, processor):
    model = tiny_model(processor, 0)
    drawn = [samples[0, index] for index in range(2)]
    longer = dataclasses.replace(drawn[0], text=drawn[0].text + "and all else that there is ")
    alone, padded = (collate(processor, [drawn[0], *more]) for more in ((), (longer,)))
    assert padded["input_ids"].shape[1] > alone["input_ids"].shape[1]
    padded["labels"][1] = -100
    assert batch_loss(model, padded).item() == pytest.approx(batch_loss(model, alone).item(), abs=1e-5)


def test_bfloat16_runs_the_head_in_bfloat16_near_the_float32_loss(batch, processor, monkeypatch):
    model, dtypes = tiny_model(processor, 0), []
    loss_of = objective.labelled_loss
    monkeypatch.setattr(
        objective, "labelled_loss", lambda hidden, *rest: dtypes.append(hidden.dtype) or loss_of(hidden, *rest)
    )
    exact, rounded = (batch_loss(model, batch, compute_dtype=name).item() for name in ("float32", "bfloat16"))
    assert dtypes == [torch.float32, torch.bfloat16]
    assert rounded == pytest.approx(exact, rel=0.01)


def test_states_hold_trained_weights_only_and_resume_the_same(samples, processor, validation, tmp_path):
    def trained(steps, folder, seed=0):
        model = tiny_model(processor, seed)
        model.model.vision_tower.requires_grad_(False)
        saved = Checkpoints(tmp_path / folder, "one", keep=9)
        train(model, processor, samples, validation, TrainConfig(steps, None, 4, 1, 1e-3, 0, save_steps=2), saved)
        return saved

    whole = trained(4, "whole")
    assert not any("vision_tower" in name for name in whole.load(4)["model"] | whole.best())
    for name in ("identity", "step-000000002.pt", "best-000000002.pt"):
        (tmp_path / "resumed").mkdir(exist_ok=True)
        (tmp_path / "resumed" / name).write_bytes((tmp_path / "whole" / name).read_bytes())
    with pytest.raises(ValueError, match="the frozen weights are not those"):
        trained(4, "resumed", seed=1)
    resumed = trained(4, "resumed")
    assert resumed.load(4)["trained"]["resumed"] == 1
    assert all(value.equal(resumed.load(4)["model"][name]) for name, value in whole.load(4)["model"].items())


def count_pass(passes, name, *_):
    passes[name] += 1


@pytest.mark.parametrize("frozen", [True, False])
def test_gradient_checkpointing_repeats_the_layers_with_a_graph_only(batch, processor, frozen):
    """Same loss, same gradients; a frozen tower has no graph and runs once."""
    results = []
    for checkpointing in (False, True):
        model = tiny_model(processor, 0).train()
        tower, text = model.model.vision_tower.requires_grad_(not frozen), model.model.language_model
        if checkpointing:
            model.activation_checkpointing_enable()
        passes = Counter()
        for name, layer in (("tower", tower.encoder.layers[0].self_attn), ("text", text.layers[0].self_attn)):
            layer.register_forward_hook(partial(count_pass, passes, name))
        loss = batch_loss(model, batch)
        loss.backward()
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        results.append((loss.item(), gradients, passes))
    (loss, gradients, passes), (same_loss, same_gradients, repeated) = results
    assert same_loss == loss and len(gradients) == len(same_gradients)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(gradients, same_gradients, strict=True))
    assert passes == {"tower": 1, "text": 1} and repeated == {"tower": 1 if frozen else 2, "text": 2}
