"""Published figures of other vision-language models, for the same quantities as ours on the same benchmarks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["PUBLISHED_MODELS", "PublishedModel"]


@dataclass(frozen=True)
class PublishedModel:
    """Figures of a model on a benchmark: (task, metric) to the mean; `split` are its test questions, `source` the publication."""

    name: str
    dataset: str
    means: Mapping[tuple[str, str], float]
    split: str
    source: str


# F1 of words over all questions, as `f1_all`: Google's model card of MedGemma 1.5, with the definition of the MedGemma report (arXiv
# 2507.05201, section 3.4); how it treats case and articles is not stated in the card. Not included: its accuracy, which is of yes/no
# questions alone where SLAKE's closed ones have others; figures by MultiMedEval (RadFM, BiomedGPT, LLaVA-Med), whose F1 counts a
# repeated word once and keeps articles, and whose accuracy is that of a yes or no anywhere in a sentence.
CARD = "MedGemma 1.5 model card"
SLAKE, BALANCED = "English test questions", "another split of the questions: the balanced one of arXiv 2405.03162"
PUBLISHED_MODELS: Sequence[PublishedModel] = (
    PublishedModel("Gemma 3 4B", "slake", {("vqa", "f1_all"): 0.402}, SLAKE, CARD),
    PublishedModel("MedGemma 1 4B", "slake", {("vqa", "f1_all"): 0.723}, SLAKE, CARD),
    PublishedModel("MedGemma 1.5 4B", "slake", {("vqa", "f1_all"): 0.597}, SLAKE, CARD),
    PublishedModel("MedGemma 1 27B", "slake", {("vqa", "f1_all"): 0.703}, SLAKE, CARD),
    PublishedModel("Gemma 3 4B", "vqa-rad", {("vqa", "f1_all"): 0.336}, BALANCED, CARD),
    PublishedModel("MedGemma 1 4B", "vqa-rad", {("vqa", "f1_all"): 0.499}, BALANCED, CARD),
    PublishedModel("MedGemma 1.5 4B", "vqa-rad", {("vqa", "f1_all"): 0.481}, BALANCED, CARD),
    PublishedModel("MedGemma 1 27B", "vqa-rad", {("vqa", "f1_all"): 0.467}, BALANCED, CARD),
)
