"""The published numbers of the paper, for the same kinds of task on other patients and images."""

from collections.abc import Mapping

__all__ = ["Published", "published"]

# (dataset, task, metric) -> mean and, where given, half of its 95 % interval. RadGrounder trained on reports, questions,
# SLAKE, VQA-RAD and detection. CIDEr is the table's number divided by 100; CIDEr and LLMScore of captions are those of the report
# task. The F1 of SLAKE and VQA-RAD is over all questions, that of the internal test set over open ones. Accuracy is strict.
Published = tuple[float, float | None]
DETECTION: Mapping[tuple[str, str, str], Published] = {
    ("internal", "caption", "cider_released"): (0.375, 0.033),
    ("internal", "caption", "llm_score"): (0.303, 0.014),
    ("internal", "detect", "g_iou"): (0.436, 0.016),
    ("internal", "vqa", "f1"): (0.489, 0.028),
    ("internal", "vqa", "llm_score"): (0.601, 0.026),
    ("internal", "vqa", "accuracy"): (0.946, 0.014),
    ("slake", "vqa", "f1_all"): (0.877, None),
    ("slake", "vqa", "recall"): (0.881, None),
    ("slake", "vqa", "llm_score"): (0.888, None),
    ("slake", "vqa", "accuracy"): (0.903, None),
    ("vqa-rad", "vqa", "f1_all"): (0.507, None),
    ("vqa-rad", "vqa", "llm_score"): (0.443, None),
    ("vqa-rad", "vqa", "accuracy"): (0.647, None),
}
# Segmentation instead of detection. Those of the benchmarks are of the released model, from the authors' project page
# (radgrounder.github.io), with two digits: open F1 and LLMScore of SLAKE, 4.49 on the scale from 1 to 5; closed accuracy; F1 over all
# questions of VQA-RAD. Its intervals are not included.
SEGMENTATION: Mapping[tuple[str, str, str], Published] = {
    ("internal", "caption", "cider_released"): (0.369, None),
    ("internal", "caption", "llm_score"): (0.301, None),
    ("internal", "detect", "g_iou"): (0.369, None),
    ("internal", "vqa", "f1"): (0.504, None),
    ("internal", "vqa", "llm_score"): (0.641, None),
    ("internal", "vqa", "accuracy"): (0.956, None),
    ("slake", "vqa", "f1"): (0.86, None),
    ("slake", "vqa", "llm_score"): (0.8725, None),
    ("slake", "vqa", "accuracy"): (0.90, None),
    ("vqa-rad", "vqa", "f1_all"): (0.50, None),
}


def published(variant: str, *, similar_names: bool) -> Mapping[tuple[str, str, str], Published]:
    """The paper's numbers of a variant, detection or segmentation: boxes and masks are not comparable.

    Args:
        variant: of the model.
        similar_names: our G-IoU uses the similarity of names, as the paper's does; without it the paper's G-IoU is left out.
    """
    numbers = DETECTION if variant == "detection" else SEGMENTATION
    return {key: number for key, number in numbers.items() if similar_names or key[2] != "g_iou"}
