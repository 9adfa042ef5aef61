import pytest
import torch
from torch import nn

from refrad.training.optim import lr_factor, make_optimizer


def test_the_learning_rate_rises_and_then_falls_to_nothing():
    shares = [lr_factor(step / 1000, 0.05) for step in range(1001)]
    peak = shares.index(max(shares))
    assert 0 < shares[0] < 0.1 and 40 <= peak <= 60 and shares[-1] == pytest.approx(0, abs=1e-9)


def test_without_warm_up_it_starts_at_its_highest():
    assert lr_factor(0, 0) == 1


@pytest.mark.parametrize("name", ["adamw", "adafactor"])
def test_a_small_rate_moves_nearly_every_weight(name):
    """In bfloat16 a step of 5e-5 would round to nothing for most weights of usual size."""
    torch.manual_seed(0)
    layer = nn.Linear(64, 64)
    before = layer.weight.detach().clone()
    optimizer = make_optimizer(layer.parameters(), name, 5e-5, 0.01)
    with torch.autocast("cpu", torch.bfloat16):
        layer(torch.randn(16, 64)).float().pow(2).mean().backward()
    optimizer.step()
    assert (layer.weight != before).float().mean() > 0.99
    assert (layer.weight.bfloat16() != before.bfloat16()).float().mean() < 0.5


def test_weights_that_would_lose_their_steps_are_refused():
    with pytest.raises(ValueError, match="must be float32"):
        make_optimizer(nn.Linear(2, 2).bfloat16().parameters(), "adamw", 1e-3, 0.0)


def test_vectors_do_not_decay():
    optimizer = make_optimizer(nn.Linear(2, 2).parameters(), "adamw", 1e-3, 0.1)
    assert [(group["weight_decay"], group["params"][0].ndim) for group in optimizer.param_groups] == [
        (0.1, 2),
        (0.0, 1),
    ]


@pytest.mark.parametrize("name", ["adamw", "adafactor"])
def test_some_weights_learn_at_a_share_of_the_rate(name):
    fast, slow = nn.Parameter(torch.ones(8, 8)), nn.Parameter(torch.ones(8, 8))
    optimizer = make_optimizer([fast, slow], name, 1e-2, 0.0, {slow: 0.1})
    fast.grad, slow.grad = torch.ones(8, 8), torch.ones(8, 8)
    optimizer.step()
    assert ((1 - slow) / (1 - fast)).mean().item() == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("name", ["adamw", "adafactor"])
def test_it_goes_on_from_its_state(name):
    torch.manual_seed(0)
    pushes = torch.randn(6, 8, 8)

    def walk(split):
        weight = nn.Parameter(torch.ones(8, 8))
        optimizer = make_optimizer([weight], name, 1e-2, 0.01)
        for number, push in enumerate(pushes):
            if number == split:
                state, value = optimizer.state_dict(), weight.detach().clone()
                weight = nn.Parameter(value)
                optimizer = make_optimizer([weight], name, 1e-2, 0.01)
                optimizer.load_state_dict(state)
            weight.grad = push.clone()
            optimizer.step()
        return weight

    assert walk(None).equal(walk(3))
