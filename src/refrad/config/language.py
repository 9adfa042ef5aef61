"""Options of language models, and of the stages that may ask one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from refrad.config.section import Section
from refrad.core.types import LANGUAGES

__all__ = [
    "ASKS",
    "CaptionsOptions",
    "LlmOptions",
    "MentionsOptions",
    "ModelOptions",
    "ServerOptions",
    "VqaOptions",
    "prompt_files",
    "tasks_of",
]

# The options of a stage that may ask a language model: option -> task. A task has a prompt and a role of its name.
ASKS: Mapping[str, Mapping[str, str]] = {
    "captions": {"rewrite": "rewrite", "translate": "translate", "judge": "judge"},
    "mentions": {"finder": "mentions"},
    "vqa": {"writer": "qa"},
    "evaluate": {"judge": "score"},
}
WITHOUT_MODEL = ("rules", "none", "lexicon", "templates", 0)


class ServerOptions(Section):
    """How a managed or shared vLLM is started."""

    python: str = "python"
    gpus: Annotated[int, Field(ge=0)] = 1
    context: Annotated[int, Field(ge=256)] = 8192
    arguments: list[str] = Field(default_factory=list)
    environment: dict[str, str] = Field(default_factory=dict)
    startup: Annotated[float, Field(gt=0)] = 1800.0
    idle: Annotated[float, Field(ge=0)] = 300.0


class ModelOptions(Section):
    """A language model and how it is asked."""

    endpoint: Annotated[str, Field(pattern=r"^(managed|shared|https?://.+)$")]
    model: Annotated[str, Field(min_length=1)]
    key: str | None = None
    temperature: Annotated[float, Field(ge=0)] = 0.0
    extra: dict[str, Any] = Field(default_factory=dict)
    thinking: Annotated[int, Field(ge=0)] = 0
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 64
    timeout: Annotated[float, Field(gt=0)] = 300.0
    patience: Annotated[float, Field(gt=0)] = 600.0
    price: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    server: ServerOptions = ServerOptions()

    @property
    def name(self) -> str:
        """What the server calls the model; one that RefRad starts calls it by the last part of its path."""
        return Path(self.model).name if self.endpoint in ("managed", "shared") else self.model

    def shaping(self) -> dict[str, Any]:
        """The part that shapes answers; where and how fast they are made does not."""
        return {
            "model": self.name,
            "temperature": self.temperature,
            "extra": self.extra,
            "thinking": self.thinking,
        }


class LlmOptions(Section):
    """Language models by role, and the prompts."""

    prompts: str
    rewrite: ModelOptions | None
    translate: ModelOptions | None
    judge: ModelOptions | None
    mentions: ModelOptions | None
    qa: ModelOptions | None
    score: ModelOptions | None = None


class CaptionsOptions(Section):
    """Backends of rewriting and translation, and the sample that is judged."""

    rewrite: Literal["rules", "llm"]
    translate: Literal["none", "llm"]
    judge: Annotated[int, Field(ge=0)] = 0


class MentionsOptions(Section):
    """The mention finder."""

    finder: Literal["lexicon", "llm", "both"]
    lexicon: str


class VqaOptions(Section):
    """The question writer."""

    writer: Literal["templates", "llm"]
    findings: Annotated[int, Field(ge=0)]
    metadata: Annotated[int, Field(ge=0)]


def tasks_of(stage: str, options: Mapping[str, Any]) -> dict[str, str]:
    """Option to task, for those options of a stage that ask a language model."""
    return {option: task for option, task in ASKS.get(stage, {}).items() if options.get(option, 0) not in WITHOUT_MODEL}


def prompt_files(folder: Path, task: str) -> dict[str, Path]:
    """Language to the prompt file of a task: `<folder>/<task>.<language>.md`."""
    return {language: folder / f"{task}.{language}.md" for language in LANGUAGES}
