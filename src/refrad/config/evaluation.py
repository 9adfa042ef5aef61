"""Options of evaluate."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from refrad.config.comparison import OtherModels
from refrad.config.section import Section
from refrad.config.training_sections import Count, LeakOptions, Name

__all__ = ["AnswerTokens", "EvaluateOptions"]


class AnswerTokens(Section):
    """Largest number of tokens of an answer; longer ones are cut. Never less than the longest true answer of the task."""

    locate: Count = Field(default=96, description="Tokens, 1 or more, of the regions of a named structure.")
    detect: Count = Field(default=160, description="Tokens, 1 or more, of a caption with boxes or masks.")
    vqa: Count = Field(default=24, description="Tokens, 1 or more, of the answer to a question.")
    caption: Count = Field(default=160, description="Tokens, 1 or more, of a caption without regions.")


class EvaluateOptions(Section):
    """Evaluation on test patients."""

    RENAMED: ClassVar[dict[str, str]] = {"against": "compare_with"}

    samples: Count = Field(
        default=2000,
        description="Largest number of test images of each task, 1 or more; 2000, as in the paper, if left out.",
    )
    batch: Count = Field(description="Questions, 1 or more, answered in one batch.")
    compute_dtype: Literal["float32", "bfloat16", "int8"] = Field(
        default="float32",
        description="Type of the model's weights and products: float32, bfloat16 (half the memory, and faster on a GPU) or int8 (a third).",
    )
    baseline_samples: Count = Field(
        default=200,
        description="Largest number of the test images, 1 or more, for the blank-image ablation and the baselines.",
    )
    answer_tokens: AnswerTokens = Field(
        default=AnswerTokens(),
        description="Largest number of tokens of an answer by task, raised to the longest true answer of the test set: "
        "docs/evaluation.md.",
    )
    resamples: Annotated[int, Field(ge=100)] = Field(
        description="Bootstrap resamples, 100 or more, of whole patients for the 95 % intervals."
    )
    interval: Literal["percentile", "bca"] = Field(
        description="Bootstrap interval: percentile or bca (bias-corrected and accelerated)."
    )
    embedder: str | None = Field(
        description="Folder of a sentence-transformers model for G-IoU, or null: classes are equal or different."
    )
    text_metrics: list[Literal["bleu4", "rougel", "bertscore"]] = Field(
        default=[], description="Further metrics of captions and open answers: any of bleu4, rougel, bertscore."
    )
    bertscore_model: str | None = Field(
        default=None, description="Folder of a transformers encoder for bertscore, or null without that metric."
    )
    bertscore_layer: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Hidden layer of it that bertscore compares, or null: the last one."
    )
    judge: Literal["none", "llm"] = Field(
        default="none",
        description="Judge: none, or llm (the model llm.score gives captions and open answers an LLMScore).",
    )
    public: list[str] = Field(
        description="Benchmarks to evaluate as well, files that refrad public writes: docs/evaluation.md."
    )
    leaks: LeakOptions = Field(description="Test images that were also training images.")
    compare_with: list[Name] = Field(
        description="Earlier runs (train.name) in results/evaluate to compare with item by item."
    )
    others: OtherModels = Field(
        default=[], description="Other vision-language models that get the same questions: docs/evaluation.md."
    )
