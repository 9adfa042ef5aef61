"""Options of language models and of the stages that may use one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from refrad.config.secrets import (
    check_arguments,
    check_endpoint,
    check_extra,
    check_model,
    check_settings,
    check_variable,
)
from refrad.config.section import Section
from refrad.core.types import LANGUAGES, ModelShaping

__all__ = [
    "LLM_TASKS",
    "CaptionsOptions",
    "LlmOptions",
    "LlmTask",
    "MentionsOptions",
    "ModelOptions",
    "ServerOptions",
    "VqaOptions",
    "prompt_files",
    "tasks_of",
]


@dataclass(frozen=True)
class LlmTask:
    """A task that a language model can do for a stage.

    Attributes:
        name: of the task, of its model in section `llm`, of its prompts (`<name>.<language>.md`) and of its rate in
            workflow/rates.yaml.
        stage: that gives the task to a model.
        option: of the stage, which chooses between a model and another backend.
        module: with its answer model and its checks.
    """

    name: str
    stage: str
    option: str
    module: str


LLM_TASKS: Sequence[LlmTask] = (
    LlmTask("rewrite", "captions", "rewrite", "refrad.language.llm_rewriting"),
    LlmTask("translate", "captions", "translate", "refrad.language.llm_rewriting"),
    LlmTask("judge", "captions", "judge", "refrad.language.llm_rewriting"),
    LlmTask("mentions", "mentions", "finder", "refrad.language.llm_mentions"),
    LlmTask("qa", "vqa", "writer", "refrad.grounding.vqa_llm"),
    LlmTask("score", "evaluate", "judge", "refrad.evaluation.metrics.judge"),
)
WITHOUT_MODEL = ("rules", "none", "lexicon", "templates", 0)


class ServerOptions(Section):
    """Start options of a managed or shared vLLM."""

    python: str = Field(default="python", description="Python interpreter of an environment with vLLM.")
    gpus: int = Field(default=1, ge=0, description="Number of GPUs for the model, 0 or more; 0 runs it on the CPU.")
    context: int = Field(default=8192, ge=256, description="Longest request with its answer in tokens, 256 or more.")
    arguments: Annotated[list[str], AfterValidator(check_arguments)] = Field(
        default_factory=list, description="Further command-line arguments of vLLM; a secret among them is refused."
    )
    environment: Annotated[dict[str, str], AfterValidator(check_settings)] = Field(
        default_factory=dict,
        description="Settings of vLLM and its libraries by environment variables, such as VLLM_CPU_KVCACHE_SPACE; others, "
        "such as HF_TOKEN, are refused here and inherited from the shell that starts the run.",
    )
    startup: float = Field(
        default=1800.0, gt=0, description="Time limit in seconds, above 0, until the server is ready."
    )
    idle: float = Field(
        default=300.0, ge=0, description="Seconds without a user, 0 or more, after which a shared server ends."
    )


class ModelOptions(Section):
    """A language model and its request options."""

    endpoint: Annotated[str, AfterValidator(check_endpoint)] = Field(
        pattern=r"^(managed|shared|https?://.+)$",
        description="Address of an OpenAI-compatible server, up to and without /chat/completions; or managed (a server in "
        "each job); or shared (one server for all jobs).",
    )
    model: Annotated[str, AfterValidator(check_model)] = Field(
        min_length=1, description="Name of the model on the server; for managed and shared the folder of its weights."
    )
    key: Annotated[str, AfterValidator(check_variable)] | None = Field(
        default=None,
        description="Name of the environment variable that holds the API key, in capitals, or null; the key itself is never "
        "in a file.",
    )
    temperature: float = Field(default=0.0, ge=0, description="Sampling temperature, 0 or more.")
    extra: Annotated[dict[str, Any], AfterValidator(check_extra)] = Field(
        default_factory=dict, description="Further fields of each request, such as reasoning_effort."
    )
    thinking: int = Field(
        default=0, ge=0, description="Number of tokens, 0 or more, that the model may use before its answer."
    )
    concurrency: int = Field(
        default=64,
        ge=1,
        le=1024,
        description="Largest number of requests at once, 1 to 1024; fewer are sent while the server is busy.",
    )
    timeout: float = Field(default=300.0, gt=0, description="Time limit in seconds, above 0, for one request.")
    patience: float = Field(
        default=600.0, gt=0, description="Seconds without any answer, above 0, after which the job stops."
    )
    price: Annotated[list[float], Field(min_length=2, max_length=2)] | None = Field(
        default=None,
        description="Price of a million prompt tokens and of a million answer tokens in your currency, for the cost on the "
        "page; or null.",
    )
    server: ServerOptions = Field(default=ServerOptions(), description="Start options of a managed or shared server.")

    @property
    def name(self) -> str:
        """The name of the model on the server: for a server that RefRad starts, the last part of its path."""
        return Path(self.model).name if self.endpoint in ("managed", "shared") else self.model

    def shaping(self) -> ModelShaping:
        """The options that change answers, without those of address and speed."""
        return {
            "model": self.name,
            "temperature": self.temperature,
            "extra": self.extra,
            "thinking": self.thinking,
        }


class LlmOptions(Section):
    """Language models by role, and the prompts."""

    prompts: str = Field(
        description="Folder of the prompts, one file per task and language; a change reruns only the stages that use the "
        "file."
    )
    rewrite: ModelOptions | None = Field(description="Model for captions.rewrite, or null.")
    translate: ModelOptions | None = Field(description="Model for captions.translate, or null.")
    judge: ModelOptions | None = Field(description="Model for captions.judge, or null.")
    mentions: ModelOptions | None = Field(description="Model for mentions.finder, or null.")
    qa: ModelOptions | None = Field(description="Model for vqa.writer, or null.")
    score: ModelOptions | None = Field(default=None, description="Model for evaluate.judge, or null.")
    vision: dict[str, ModelOptions] = Field(
        default={}, description="Vision-language models for evaluate.others, each under a name of your choice."
    )


class CaptionsOptions(Section):
    """Backends of rewriting and translation, and the sample that is judged."""

    rewrite: Literal["rules", "llm"] = Field(
        description="Removal of comparisons: rules (pure comparison clauses only) or llm (all comparisons, by the model "
        "llm.rewrite)."
    )
    translate: Literal["none", "llm"] = Field(
        description="Translation: none (the report's language only) or llm (llm.translate adds the other of German and "
        "English)."
    )
    judge: int = Field(
        default=0,
        ge=0,
        description="Rewritten and translated captions per shard, 0 or more of each, that llm.judge scores for the report "
        "page.",
    )
    max_without_study: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Largest share of reports, 0 to 1, that may find no study; above it the stage stops and shows the forms "
        "of the ids.",
    )
    storage_errors: int = Field(
        default=10, ge=0, description="Report files that the failing storage keeps back; one more ends the run."
    )


class MentionsOptions(Section):
    """The mention finder."""

    finder: Literal["lexicon", "llm", "both"] = Field(
        description="Mention finder: lexicon, llm (the model llm.mentions, checked) or both (llm, and the lexicon where it "
        "fails)."
    )
    lexicon: str = Field(
        description="Lexicon, a YAML file with German and English terms for each class; edit it to add the terms of your "
        "site."
    )


class VqaOptions(Section):
    """The question writer."""

    writer: Literal["templates", "llm"] = Field(
        description="Writer of questions about findings: templates, or llm (the model llm.qa, checked)."
    )
    findings: int = Field(
        ge=0, description="Most question-answer pairs about findings per image and language, 0 or more."
    )
    metadata: int = Field(
        ge=0, description="Most question-answer pairs about metadata of the slice per image and language, 0 or more."
    )


def tasks_of(stage: str, options: Mapping[str, Any]) -> dict[str, str]:
    """Option to task, for those options of a stage that choose a language model."""
    return {
        task.option: task.name
        for task in LLM_TASKS
        if task.stage == stage and options.get(task.option, 0) not in WITHOUT_MODEL
    }


def prompt_files(folder: Path, task: str) -> dict[str, Path]:
    """Language to the prompt file of a task: `<folder>/<task>.<language>.md`."""
    return {language: folder / f"{task}.{language}.md" for language in LANGUAGES}
