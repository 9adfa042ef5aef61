import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.cli import main
from refrad.workflow.mask_budget import mask_budget
from refrad.workflow.rates import load_rates

MASKS = load_rates()["masks"]
LITRES = MASKS["volumes"]["CT"]["litres"]


def test_budget_of_the_published_volume_is_the_published_time():
    assert mask_budget(MASKS, "CT", 1, "total", "RTX 3090").gpu_hours * 3600 == pytest.approx(77)
    assert mask_budget(MASKS, "CT", 1, "fast").gpu_hours * 3600 == pytest.approx(34)


@given(st.integers(0, 10**6), st.sampled_from(list(MASKS["bandwidth"])), st.floats(0.1, 10))
def test_budget_hours_are_proportional_to_volumes_and_size(volumes, gpu, size):
    budget = mask_budget(MASKS, "CT", volumes, "total", gpu, litres=size * LITRES)
    assert (budget + budget).gpu_hours == pytest.approx(
        mask_budget(MASKS, "CT", 2 * volumes, "total", gpu, litres=size * LITRES).gpu_hours
    )
    assert 2 * budget.gpu_hours == pytest.approx(
        mask_budget(MASKS, "CT", volumes, "total", gpu, litres=2 * size * LITRES).gpu_hours
    )


@given(st.floats(1, 1e9))
def test_budget_store_is_proportional_to_voxels(voxels):
    store_gb = mask_budget(MASKS, "MR", 100, "fast", voxels=voxels).store_gb
    assert store_gb == pytest.approx(100 * voxels * MASKS["bits"] / 8 / 1e9)


def test_unknown_card_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"not known: total, GTX.*H100"):
        mask_budget(MASKS, "CT", 1, "total", "GTX")


def test_budget_prints_a_line_for_each_card(capsys):
    assert main(["budget", "--ct", "181362", "--mr", "36026"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1 + len(MASKS["bandwidth"]) and "GPU hours" in printed[-1] and "GB" in printed[-1]


def test_budget_refuses_an_unknown_variant(capsys):
    assert main(["budget", "--ct", "1", "--mr", "1", "--variant", "slow"]) == 1
    assert "not known: slow" in capsys.readouterr().err
