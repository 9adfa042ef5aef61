"""Options of the dataset and of the pages."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from refrad.config.section import Section

__all__ = ["CardOptions", "GroundedOptions", "ReportOptions", "ShardsOptions"]


class GroundedOptions(Section):
    """How captions and images meet."""

    mode: Literal["strict", "expand"]
    images_per_caption: Annotated[int, Field(ge=1)]


class ShardsOptions(Section):
    """Images inside the shards."""

    image_size: Annotated[int, Field(ge=16, le=2048)]
    formats: Annotated[list[Literal["png", "raw", "full"]], Field(min_length=1)]
    windows: Annotated[
        list[Annotated[list[float], Field(min_length=2, max_length=2)]], Field(min_length=3, max_length=3)
    ]

    @model_validator(mode="after")
    def a_square_picture_is_there(self) -> "ShardsOptions":
        """Training reads the square picture."""
        if not {"png", "raw"} & set(self.formats):
            raise ValueError("formats needs png or raw: training reads one of them")
        return self


class CardOptions(Section):
    """What the dataset says of itself."""

    title: Annotated[str, Field(min_length=1)]
    creator: Annotated[str, Field(min_length=1)]
    terms: Annotated[str, Field(min_length=1)]
    duplicate_difference: Annotated[float, Field(ge=0, le=255)]


class ReportOptions(Section):
    """The pages."""

    gallery: Annotated[int, Field(ge=0)]
    sentences: Annotated[int, Field(ge=0)]
