"""Options of the dataset and of the report pages."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from refrad.config.section import Section

__all__ = ["CardOptions", "CopiesOptions", "GroundedOptions", "ReportOptions", "ShardsOptions"]


class CopiesOptions(Section):
    """Policies for copies of volumes, of the same and of earlier deliveries, under whatever series, study or patient."""

    same_voxels: Literal["keep_one", "keep"] = Field(
        description="Policy for volumes of the same voxels and affine: keep_one, or keep (all)."
    )
    altered: Literal["keep_one", "keep"] = Field(
        description="Policy for volumes of other studies that show the same voxels, compressed, rescaled or cropped: keep_one, "
        "or keep (all)."
    )


class GroundedOptions(Section):
    """Options of the pairing of captions and images."""

    mode: Literal["strict", "expand"] = Field(
        description="Match of caption and image classes: strict (equal) or expand (also parts and wholes by the schema's "
        "hierarchy)."
    )
    images_per_caption: int = Field(
        ge=1,
        description="Most images, 1 or more, for a caption that names none: slices with the largest cross-sections of its "
        "classes.",
    )


class ShardsOptions(Section):
    """Images inside the shards."""

    pairs: Literal["all", "grounded"] = Field(
        description="Pairs of image and caption: all (also those that a report makes by naming an image, without a box), as for the "
        "paper's report task, or grounded."
    )
    image_size: int = Field(
        ge=16, le=2048, description="Side of the square image in px, 16 to 2048; 224 for PaliGemma 2."
    )
    orientation: Literal["stored", "radiological"] = Field(
        description="Orientation of the image, boxes and masks: stored (as the DICOM image) or radiological (right side at the left, "
        "front or head at the top; sagittal: front at the left)."
    )
    formats: list[Literal["png", "raw", "full"]] = Field(
        min_length=1,
        description="Stored forms of each image: png (for any viewer), raw (the same pixels, much faster to load) or full "
        "(PNG in full resolution); png or raw is required.",
    )
    windows: Annotated[
        list[Annotated[list[float], Field(min_length=2, max_length=2)]], Field(min_length=3, max_length=3)
    ] = Field(description="CT windows of the three channels as [width, level] in HU; MR is scaled by its range.")

    @model_validator(mode="after")
    def a_square_picture_is_there(self) -> "ShardsOptions":
        """Training reads the square image: `png` or `raw`."""
        if not {"png", "raw"} & set(self.formats):
            raise ValueError("formats needs png or raw: training reads one of them")
        return self


def _not_blank(words: str) -> str:
    if not words.strip():
        raise ValueError("is blank")
    return words


Words = Annotated[str, AfterValidator(_not_blank)]


class CardOptions(Section):
    """Dataset metadata."""

    REPLACED: ClassVar[dict[str, tuple[str, Any]]] = {"duplicate_difference": ("duplicate_correlation", 0.75)}

    title: Words | None = Field(
        description="Title of the dataset; your own data have no default, the demo has its own."
    )
    creator: Words | None = Field(description="Creator of the dataset, such as your institution; as card.title.")
    terms: Words | None = Field(
        description="License of the images and reports, an SPDX identifier or a sentence; as card.title."
    )
    duplicate_correlation: float = Field(
        gt=0,
        le=1,
        description="Least correlation, 0 to 1, of the fine structure of two aligned images that count as duplicates; a "
        "duplicate in another split is a leak. Copies of slices measured 0.76 to 1, slices of different people at most 0.32.",
    )


class ReportOptions(Section):
    """Options of the report pages."""

    gallery: int = Field(ge=0, description="Number of images in the gallery, 0 or more.")
    sentences: int = Field(
        ge=0,
        description="Number of sample captions, with their mentions, and of sample questions on the pages of captions, mentions and vqa, "
        "0 or more; above 0 these pages show de-identified report text.",
    )
