"""Signs that a pair of image and text may be wrong. They sort the list that reviewers browse; nothing leaves the dataset because of them.

Each sign is a pure function from the tables of all items to the items, and phrases of captions, that have it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from refrad.anatomy.schema import Schema
from refrad.review.item_tables import ItemTables

__all__ = ["MARK_COLUMNS", "SUSPICIONS", "Evidence", "Suspicion", "find_suspicions"]

SMALL_MM2 = 25.0  # area of a mask below which a phrase is suspicious
SMALL_PX = 3  # side of a box
FRAGMENT = 0.1  # share of the class's usual area
OVERSIZE = 4.0  # times the class's usual area
ENOUGH = 20  # phrases of a class from which what is usual is computed
FAR = 5.0  # robust standard deviations (1.4826 MAD) from the usual place
LEAST_SPREAD = 0.04  # of the place, as a share of the image: bodies differ by so much
MAD_TO_DEVIATION = 1.4826  # of a normal distribution

MARK_COLUMNS: Mapping[str, Any] = {
    "image_id": pl.String,
    "item": pl.String,
    "item_id": pl.String,
    "entity": pl.Int32,
    "suspicion": pl.String,
}
"""An item that has a sign, a row; `entity` is the place of the phrase in its caption, or null."""

_GROUP = ("class_id", "modality", "plane")
_TWO_SIDED = re.compile(
    r"\b(?:bds|beidseit\w*|beide[nrms]?|beiderseit\w*|bilateral\w*|both|nieren|kidneys|nebennieren|lungs|lungen(?:flügel)?)\b",
    re.IGNORECASE,
)
_NO = ("no", "nein")


@dataclass(frozen=True)
class Evidence:
    """What signs are looked for in.

    Attributes:
        tables: items and phrases of the dataset.
        schema: the classes.
        flags: `volume`, `class_id` (null: the volume) and `flag` of stage structures.
        unnamed: `item_id`, `class_id`: classes of a caption that the model names and the lexicon does not, or the other way round.
    """

    tables: ItemTables
    schema: Schema
    flags: pl.DataFrame
    unnamed: pl.DataFrame


@dataclass(frozen=True)
class Suspicion:
    """A sign: its sentence for people, and the function that finds it."""

    sentence: str
    find: Callable[[Evidence], pl.DataFrame]


def small_boxes(evidence: Evidence) -> pl.DataFrame:
    """Phrases whose mask has less than SMALL_MM2, or whose box has a side of less than SMALL_PX."""
    small = (pl.col("area_mm2") < SMALL_MM2) | (pl.min_horizontal("width", "height") < SMALL_PX)
    return evidence.tables.phrases.filter(small)


def fragments(evidence: Evidence) -> pl.DataFrame:
    """Phrases whose mask has less than FRAGMENT of the median area of the class in its modality and plane."""
    return _with_usual(evidence).filter(pl.col("area_mm2") < FRAGMENT * pl.col("usual"))


def oversized(evidence: Evidence) -> pl.DataFrame:
    """Phrases whose mask has more than OVERSIZE times the median area of the class in its modality and plane."""
    return _with_usual(evidence).filter(pl.col("area_mm2") > OVERSIZE * pl.col("usual"))


def far_boxes(evidence: Evidence) -> pl.DataFrame:
    """Phrases whose box is centred more than FAR robust deviations from the median place of the class, in modality and plane."""
    phrases = evidence.tables.phrases
    far = pl.lit(False)
    for axis in ("x", "y"):
        middle = pl.col(axis).median().over(_GROUP)
        spread = MAD_TO_DEVIATION * (pl.col(axis) - middle).abs().median().over(_GROUP)
        far |= (pl.col(axis) - middle).abs() > FAR * pl.max_horizontal(spread, pl.lit(LEAST_SPREAD))
    return phrases.filter(far & (pl.len().over(_GROUP) >= ENOUGH))


def implausible_anatomy(evidence: Evidence) -> pl.DataFrame:
    """Phrases of volumes that stage structures flags, in the class of the flag or, where it concerns the volume, in any class."""
    phrases, flags = evidence.tables.phrases, evidence.flags
    of_volume = flags.filter(pl.col("class_id").is_null()).select("volume").unique()
    of_class = flags.drop_nulls("class_id").select("volume", pl.col("class_id").cast(pl.Int16)).unique()
    return pl.concat(
        [
            phrases.join(of_volume, on="volume", how="semi"),
            phrases.join(of_class, on=["volume", "class_id"], how="semi"),
        ]
    )


def disagreeing_finders(evidence: Evidence) -> pl.DataFrame:
    """Captions of a language model's mentions for which the lexicon names other classes."""
    items = evidence.tables.items.filter(pl.col("item") == "caption")
    return items.join(evidence.unnamed.select("item_id").unique(), on="item_id", how="semi")


def one_sided(evidence: Evidence) -> pl.DataFrame:
    """Phrases whose words name both sides ("Nieren bds.") and whose boxes are all of one side."""
    sides = {entry.id: entry.side for entry in evidence.schema.classes if entry.side}
    side = pl.col("class_id").replace_strict(sides, default=None, return_dtype=pl.String)
    alone = side.is_not_null() & (side.n_unique().over("image_id", "item_id", "start") == 1)
    return evidence.tables.phrases.filter(alone).filter(pl.col("text").str.contains(f"(?i){_TWO_SIDED.pattern}"))


def contradicting_questions(evidence: Evidence) -> pl.DataFrame:
    """Questions that are answered no and name a phrase which a caption of the image has with a box."""
    denied = evidence.tables.items.filter(
        (pl.col("item") == "question") & pl.col("answer").str.to_lowercase().is_in(_NO)
    ).select("image_id", "item", "item_id", "language", "search")
    phrases = evidence.tables.phrases.select("image_id", "language", phrase=pl.col("text").str.to_lowercase()).unique()
    both = denied.join(phrases, on=["image_id", "language"])
    return both.filter(pl.col("search").str.contains(pl.col("phrase"), literal=True)).unique(["image_id", "item_id"])


SUSPICIONS: Mapping[str, Suspicion] = {
    "small": Suspicion(
        f"The mask has less than {SMALL_MM2:.0f} mm², or the box a side below {SMALL_PX} px.", small_boxes
    ),
    "fragment": Suspicion(f"The mask has less than {FRAGMENT:.0%} of the usual area of its class.", fragments),
    "oversized": Suspicion(f"The mask has more than {OVERSIZE:.0f} times the usual area of its class.", oversized),
    "far": Suspicion("The box is far from the usual place of its class.", far_boxes),
    "implausible": Suspicion(
        "Stage structures flags the labels of the volume, in this class or as a whole.", implausible_anatomy
    ),
    "disagreeing": Suspicion(
        "The language model and the lexicon name different classes in the sentence.", disagreeing_finders
    ),
    "one-sided": Suspicion("The words name both sides, and one of them has a box.", one_sided),
    "contradiction": Suspicion(
        "The answer is no, and a caption of the image names the same with a box.", contradicting_questions
    ),
}
"""Name to sign, in the order in which they are listed."""


def find_suspicions(evidence: Evidence) -> pl.DataFrame:
    """All signs of all items, `MARK_COLUMNS`."""
    marks = []
    for name, suspicion in SUSPICIONS.items():
        found_items = suspicion.find(evidence)
        entity = pl.col("entity") if "entity" in found_items.columns else pl.lit(None, pl.Int32).alias("entity")
        item = pl.col("item") if "item" in found_items.columns else pl.lit("caption").alias("item")
        marks.append(found_items.select("image_id", item, "item_id", entity, pl.lit(name).alias("suspicion")).unique())
    return pl.concat(marks).select(list(MARK_COLUMNS)) if marks else pl.DataFrame(schema=MARK_COLUMNS)


def _with_usual(evidence: Evidence) -> pl.DataFrame:
    """Phrases of classes that are frequent enough, with the `usual` area of the class in mm²."""
    usual = pl.col("area_mm2").median().over(_GROUP)
    return evidence.tables.phrases.with_columns(usual=usual).filter(pl.len().over(_GROUP) >= ENOUGH)
