import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from refrad.evaluation.metrics.agreement import krippendorff_alpha, pearson_r

NONE = np.nan
# The example of Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), part C: four observers, twelve units.
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3],
        [NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE],
    ]
)
ratings = st.lists(
    st.lists(st.sampled_from([NONE, 1.0, 2.0, 3.0, 4.0, 5.0]), min_size=6, max_size=6), min_size=3, max_size=3
).map(np.array)


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_the_published_example(level, alpha):
    assert krippendorff_alpha(PUBLISHED, level) == pytest.approx(alpha, abs=5e-4)


@settings(max_examples=60)
@given(ratings, st.sampled_from(["nominal", "ordinal", "interval"]))
def test_alpha_equals_the_krippendorff_package(values, level):
    package = pytest.importorskip("krippendorff")
    paired = values[:, (~np.isnan(values)).sum(0) >= 2]
    if paired.shape[1] == 0 or len(np.unique(paired[~np.isnan(paired)])) < 2:
        return
    assert krippendorff_alpha(values, level) == pytest.approx(package.alpha(paired, level_of_measurement=level))


def test_alpha_of_full_agreement_is_one():
    assert krippendorff_alpha([[1, 2, 3], [1, 2, 3]]) == 1


def test_alpha_needs_a_unit_with_two_ratings():
    with pytest.raises(ValueError, match="two raters"):
        krippendorff_alpha([[1, NONE], [NONE, 2]])


def test_alpha_without_variation_is_nan():
    assert np.isnan(krippendorff_alpha([[3, 3], [3, 3]]))


def test_r_equals_scipy_on_complete_pairs():
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 20))
    assert pearson_r(x, y) == pytest.approx(stats.pearsonr(x, y).statistic)
    assert pearson_r([*x, NONE], [*y, 1.0]) == pytest.approx(pearson_r(x, y))


def test_r_of_a_constant_is_nan():
    assert np.isnan(pearson_r([1, 1, 1], [1, 2, 3]))
