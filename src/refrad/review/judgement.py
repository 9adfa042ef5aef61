"""A verdict of a reviewer on an item of the dataset, and which of several verdicts count."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

__all__ = [
    "ITEMS",
    "LONGEST",
    "QUEUES",
    "VERDICTS",
    "CountingVerdicts",
    "ItemKey",
    "ReviewVerdict",
    "VerdictError",
    "VerdictHistory",
    "standing",
]

VERDICTS = ("accept", "reject", "wrong_span", "wrong_box", "wrong_side", "undo")
ITEMS = ("caption", "question")
QUEUES = ("browse", "random")
ItemKey = tuple[str, str, str, str]
"""Image, kind of item, item, digest of the item."""
LONGEST = {"reviewer": 100, "reason": 1000}  # characters


class VerdictError(ValueError):
    """A verdict, or the file of verdicts, is at fault. The message is one line and names no text of a report."""


@dataclass(frozen=True, kw_only=True)
class ReviewVerdict:
    """A verdict of a reviewer on an item as it was when the reviewer saw it.

    Attributes:
        reviewer: name or initials.
        delivery: of the shard with the item.
        shard: number of the shard with the item.
        patient: pseudonym of the patient.
        image_id: of the image.
        item: "caption" or "question".
        item_id: id of the caption (language included), or `items.question_id`.
        entity: place in the caption's list of entities of the phrase that the verdict is about; None: the whole item.
        verdict: a value of `VERDICTS`; "undo" takes back the reviewer's last one on the item that is not taken back yet.
        reason: in the reviewer's words, or empty.
        queue: where the item was offered: "browse", or "random" for the sample of which precision is computed.
        digest: `items.caption_digest` or `items.question_digest` of what the reviewer saw.
        time: UTC, ISO 8601; `add` fills it in where it is empty.
    """

    reviewer: str
    delivery: str
    shard: int
    patient: str
    image_id: str
    item: str
    item_id: str
    entity: int | None = None
    verdict: str
    reason: str = ""
    queue: str = "browse"
    digest: str
    time: str = ""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            VerdictError: naming the value that is wrong.
        """
        for name, allowed in (("item", ITEMS), ("verdict", VERDICTS), ("queue", QUEUES)):
            if getattr(self, name) not in allowed:
                raise VerdictError(f"{name} must be {', '.join(allowed[:-1])} or {allowed[-1]}")
        for name in ("reviewer", "delivery", "patient", "image_id", "item_id", "digest"):
            if not str(getattr(self, name)).strip():
                raise VerdictError(f"a verdict needs a {name}")
        for name, most in LONGEST.items():
            if len(getattr(self, name)) > most:
                raise VerdictError(f"{name} has more than {most} characters")
        if self.entity is not None and (self.item != "caption" or self.entity < 0):
            raise VerdictError("entity is the place of a phrase in a caption, 0 or more")
        if self.item == "question" and self.verdict not in ("accept", "reject", "undo"):
            raise VerdictError(f"{self.verdict} is a verdict on a phrase of a caption, not on a question")

    @cached_property
    def key(self) -> ItemKey:
        """What the verdict is about: image, kind of item, item and digest of the item."""
        return self.image_id, self.item, self.item_id, self.digest


@dataclass(frozen=True)
class CountingVerdicts:
    """Of some verdicts, those that count.

    Attributes:
        standing: of each reviewer and item (image, item and digest) the last that is not undone. A verdict on the whole item replaces
            all earlier ones of the reviewer on it; one on a phrase replaces those on the same phrase and on the whole item, and leaves
            those on other phrases.
        sample: those of them on items which their reviewer was offered by the random queue. A reviewer who thinks again while browsing
            corrects the verdict of the queue.
    """

    standing: list[ReviewVerdict]
    sample: list[ReviewVerdict]


class VerdictHistory:
    """The verdicts of all reviewers in the order in which they were added; a further one changes what counts at little cost."""

    def __init__(self, verdicts: Iterable[ReviewVerdict] = ()) -> None:
        self._histories: dict[tuple[str, ItemKey], list[ReviewVerdict]] = {}
        self._standing: dict[tuple[str, ItemKey], list[ReviewVerdict]] = {}
        self._offered: set[tuple[str, ItemKey]] = set()
        for verdict in verdicts:
            self.add(verdict)

    def add(self, verdict: ReviewVerdict) -> None:
        """Add a verdict, or an undoing."""
        name = verdict.reviewer, verdict.key
        if verdict.queue == "random":
            self._offered.add(name)
        history = self._histories.setdefault(name, [])
        if verdict.verdict != "undo":
            history.append(verdict)
        elif history:
            history.pop()
        self._standing[name] = _last_of_phrases(history)

    def counting(self) -> CountingVerdicts:
        """The verdicts that count now."""
        return CountingVerdicts(
            [verdict for of_item in self._standing.values() for verdict in of_item],
            [verdict for name, of_item in self._standing.items() if name in self._offered for verdict in of_item],
        )


def standing(verdicts: Iterable[ReviewVerdict]) -> list[ReviewVerdict]:
    """The verdicts that count, see `CountingVerdicts`."""
    return VerdictHistory(verdicts).counting().standing


def _last_of_phrases(history: Iterable[ReviewVerdict]) -> list[ReviewVerdict]:
    """The verdicts of one reviewer on one item that no later one replaces."""
    last: dict[int | None, ReviewVerdict] = {}
    for verdict in history:
        if verdict.entity is None:
            last.clear()
        last.pop(None, None)
        last.pop(verdict.entity, None)
        last[verdict.entity] = verdict
    return list(last.values())
