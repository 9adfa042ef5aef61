"""Options of other vision-language models that get the questions of the evaluation."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from refrad.config.section import Section

__all__ = ["BoxOptions", "OtherModelOptions", "OtherModels"]


BOX_TASKS = ("detect", "locate")


class BoxOptions(Section):
    """The convention in which a model writes boxes."""

    unit: Literal["px", "share", 1000, "loc"] = Field(
        description="Unit of the coordinates: px (of the image that is sent), share (0 to 1), 1000 (0 to 1000, as Qwen3-VL and "
        "Gemini) or loc (the tokens <loc0000> to <loc1023> of PaliGemma)."
    )
    order: Literal["xyxy", "yxyx", "xywh"] = Field(
        description="Order of the coordinates: xyxy or yxyx (two corners, x or y first), or xywh (corner, width, height)."
    )

    @model_validator(mode="after")
    def tokens_are_corners(self) -> "BoxOptions":
        """PaliGemma's tokens have no width and height."""
        if self.unit == "loc" and self.order == "xywh":
            raise ValueError("unit loc needs order yxyx, or xyxy")
        return self


class OtherModelOptions(Section):
    """A vision-language model of a server or of a folder, and how it is prompted."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9 ._-]*[A-Za-z0-9_-])?$")] = Field(
        description="Name of the model in the tables and of its files in results/evaluate/<train.name>/others."
    )
    model: str | None = Field(default=None, description="Name of the model in llm.vision, or null with folder.")
    folder: str | None = Field(
        default=None, description="Folder of a model for transformers, run by the stage itself, or null with model."
    )
    prompts: str = Field(
        default="workflow/prompts/others.yaml",
        description="Prompts of each task and language, a YAML file; workflow/prompts/paligemma.yaml has those of PaliGemma.",
    )
    tasks: Annotated[list[Literal["vqa", "caption", "detect", "locate"]], Field(min_length=1)] = Field(
        default=["vqa", "caption"], description="Tasks whose questions it gets; detect and locate need boxes."
    )
    boxes: BoxOptions | None = Field(
        default=None, description="Convention of its boxes, {unit: ..., order: ...}, or null if it gives none."
    )
    window: Annotated[int, Field(ge=0, le=2)] | Literal["all"] = Field(
        default=1,
        description="CT window of shards.windows, 0, 1 or 2, in which it gets the images in grey, or all three as colours.",
    )
    tokens: Annotated[int, Field(ge=1)] = Field(default=256, description="Longest answer in tokens, 1 or more.")

    @model_validator(mode="after")
    def has_one_origin(self) -> "OtherModelOptions":
        """A model of a server or of a folder; boxes where a task has them."""
        if (self.model is None) == (self.folder is None):
            raise ValueError("needs either model, a name in llm.vision, or folder")
        if self.boxes is None and set(BOX_TASKS) & set(self.tasks):
            raise ValueError("tasks detect and locate need boxes, such as {unit: 1000, order: yxyx}")
        return self

    def comparable_tasks(self, variant: str) -> list[str]:
        """The tasks without those whose answers cannot be compared: masks of the segmentation variant with boxes."""
        return [task for task in self.tasks if variant == "detection" or task not in BOX_TASKS]

    @property
    def role(self) -> str:
        """The role of a model of a server among those of `llm`."""
        return f"vision.{self.model}"


def _with_unique_names(models: list[OtherModelOptions]) -> list[OtherModelOptions]:
    names = [model.name.casefold() for model in models]
    if len(set(names)) < len(names):
        raise ValueError("two entries have the same name, and so the same files")
    return models


OtherModels = Annotated[list[OtherModelOptions], AfterValidator(_with_unique_names)]
