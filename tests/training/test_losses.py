import pytest
import torch
from torch.nn import functional

from refrad.training.losses import IGNORED, labelled_loss


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
