import pytest
import torch
from torch.nn import functional

from refrad.training.losses import IGNORED, SoftLabels, labelled_loss


@pytest.fixture
def case():
    torch.manual_seed(0)
    labels = torch.randint(0, 50, (3, 9))
    labels[:, :4] = IGNORED
    return torch.randn(3, 9, 16), torch.randn(50, 16), labels


def plain(hidden, vocabulary, labels, softcap=None):
    logits = hidden[:, :-1] @ vocabulary.T
    if softcap:
        logits = softcap * torch.tanh(logits / softcap)
    return functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)


@pytest.mark.parametrize("softcap", [None, 30.0])
@pytest.mark.parametrize("chunk", [4, 1024])
def test_it_is_the_cross_entropy_of_the_labelled_tokens(case, softcap, chunk):
    assert torch.allclose(labelled_loss(*case, softcap=softcap, chunk=chunk), plain(*case, softcap), atol=1e-6)


def test_its_gradients_are_the_plain_ones_whatever_the_chunks(case):
    hidden, vocabulary, labels = case
    gradients = []
    for loss in (lambda h, v: plain(h, v, labels, 30.0), lambda h, v: labelled_loss(h, v, labels, 30.0, chunk=4)):
        h, v = hidden.clone().requires_grad_(), vocabulary.clone().requires_grad_()
        loss(h, v).backward()
        gradients.append((h.grad, v.grad))
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_a_batch_without_labels_has_no_loss(case):
    hidden, vocabulary, labels = case
    assert labelled_loss(hidden, vocabulary, torch.full_like(labels, IGNORED)) == 0


NEIGHBOURS = SoftLabels(first=10, count=30, sigma=2.0)


@pytest.mark.parametrize("softcap", [None, 30.0])
@pytest.mark.parametrize("soft_labels", [None, NEIGHBOURS])
@pytest.mark.parametrize("chunk", [5, 1024])
def test_bfloat16_loss_and_gradients_are_near_those_of_float32(softcap, soft_labels, chunk):
    """A product of bfloat16 numbers has a relative error of about 2^-8; cap, softmax and sums add none."""
    torch.manual_seed(1)
    labels = torch.randint(0, 512, (4, 33))
    labels[:, :9] = IGNORED
    states, words = torch.randn(4, 33, 128), torch.randn(512, 128) / 128**0.5
    losses, gradients = [], []
    for dtype in (torch.float32, torch.bfloat16):
        hidden, vocabulary = states.clone().requires_grad_(), words.clone().requires_grad_()
        loss = labelled_loss(hidden.to(dtype), vocabulary, labels, softcap, soft_labels, chunk)
        loss.backward()
        assert loss.dtype == vocabulary.grad.dtype == torch.float32
        losses.append(loss.item())
        gradients.append((hidden.grad, vocabulary.grad))
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    for exact, rounded in zip(*gradients, strict=True):
        assert (rounded - exact).norm() / exact.norm() < 0.01


def test_sums_are_float32_also_in_bfloat16():
    """1,000 tokens of loss ln 2: in bfloat16 the sum 693.1 would be 692, and the mean 0.692."""
    loss = labelled_loss(torch.zeros(1, 1001, 4).bfloat16(), torch.ones(2, 4), torch.zeros(1, 1001, dtype=torch.long))
    assert loss.item() == pytest.approx(0.693147, abs=1e-5)


def test_vocabulary_is_converted_once_a_batch(case, monkeypatch):
    hidden, vocabulary, labels = case
    converted, convert = [], torch.Tensor.to
    monkeypatch.setattr(
        torch.Tensor, "to", lambda tensor, *a, **k: converted.append(tensor) or convert(tensor, *a, **k)
    )
    loss = labelled_loss(hidden.bfloat16().requires_grad_(), vocabulary.requires_grad_(), labels, 30.0, chunk=3)
    loss.backward()
    assert sum(tensor is vocabulary for tensor in converted) == 1


def test_products_with_the_vocabulary_are_in_the_compute_dtype(case, monkeypatch):
    hidden, vocabulary, labels = case
    dtypes, linear = [], functional.linear
    monkeypatch.setattr(functional, "linear", lambda a, b: dtypes.append((a.dtype, b.dtype)) or linear(a, b))
    labelled_loss(hidden.bfloat16(), vocabulary, labels)
    labelled_loss(hidden, vocabulary, labels)
    assert dtypes == [(torch.bfloat16,) * 2, (torch.float32,) * 2]
