"""What the review pages send: verdicts, undoings, and the reviewer's name. A reply comes after the verdict is on the disk."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote, unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from refrad.dataset.shard_rows import CaptionStruct
from refrad.review.desk import PairKey, ReviewDesk, UnknownPairError
from refrad.review.items import caption_digest, question_digest, question_id
from refrad.review.judgement import ReviewVerdict, VerdictError

__all__ = ["COOKIE", "VerdictPosts", "VerdictText", "reviewer_of", "texts_of"]

COOKIE = "refrad-reviewer"
LONGEST_NAME = 60
A_YEAR = 365 * 86400  # seconds
PAST = {
    "accept": "accepted",
    "reject": "rejected",
    "wrong_span": "wrong span",
    "wrong_box": "wrong box",
    "wrong_side": "wrong side",
}


class VerdictText(dict[str, str]):
    """A verdict on a page: `state`, a value of VERDICTS, and `text`."""


class PostError(ValueError):
    """A request that cannot be met; the message is for the reviewer."""


def reviewer_of(request: Request, default: str) -> str:
    """The name that a reviewer has given in this browser, or the default."""
    return unquote(request.cookies.get(COOKIE, "")) or default


def texts_of(verdicts: Sequence[ReviewVerdict], caption: CaptionStruct | None = None) -> list[VerdictText]:
    """Standing verdicts on an item in words: "AB: wrong box of left kidney"."""
    texts = []
    for verdict in verdicts:
        words = f"{verdict.reviewer}: {PAST[verdict.verdict]}"
        if caption and verdict.entity is not None and verdict.entity < len(caption["entities"]):
            words += f" of {caption['entities'][verdict.entity]['text']}"
        words += f" ({verdict.reason})" if verdict.reason else ""
        texts.append(VerdictText(state=verdict.verdict, text=words))
    return texts


class VerdictPosts:
    """The answers to what pages send.

    Args:
        desk: the dataset and the verdicts.
        reviewer: the name of reviewers who gave none, or empty.
    """

    def __init__(self, desk: ReviewDesk, reviewer: str) -> None:
        self._desk, self._reviewer = desk, reviewer

    async def name_reviewer(self, request: Request) -> Response:
        """Keep the reviewer's name in the browser."""
        name = " ".join(str((await _body(request)).get("name", "")).split())
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            return JSONResponse({"error": f"a name has 1 to {LONGEST_NAME} characters"}, 400)
        response = JSONResponse({"name": name})
        response.set_cookie(COOKIE, quote(name), path="/", max_age=A_YEAR, httponly=True, samesite="strict")
        return response

    async def add_verdict(self, request: Request) -> Response:
        """Add a verdict."""
        return await self._answer(request, self._add)

    async def undo_verdict(self, request: Request) -> Response:
        """Take back the reviewer's last verdict on an item, by a later one."""
        return await self._answer(request, self._undo)

    async def _answer(self, request: Request, act: Any) -> Response:
        reviewer = reviewer_of(request, self._reviewer)
        if not reviewer:
            return JSONResponse({"error": "give your name first", "reviewer": True}, 403)
        body = await _body(request)
        try:
            return JSONResponse(await run_in_threadpool(act, reviewer, body))
        except (PostError, UnknownPairError, VerdictError) as error:
            return JSONResponse({"error": str(error)}, 409)
        except OSError as error:
            return JSONResponse(
                {"error": f"the verdict cannot be written: {error.strerror or type(error).__name__}"}, 500
            )

    def _add(self, reviewer: str, body: Mapping[str, Any]) -> dict[str, Any]:
        item = _ReviewedItem(self._desk, body)
        entity = body.get("entity")
        if entity is not None and (not isinstance(entity, int) or not 0 <= entity < len(item.caption["entities"])):
            raise PostError("the caption has no such phrase")
        verdict, reason = str(body.get("verdict", "")), " ".join(str(body.get("reason", "")).split())
        if verdict not in PAST:
            raise PostError("no such verdict")
        self._desk.add(item.verdict(reviewer, verdict, entity, reason))
        texts = texts_of(self._on_item(item.key), item.named_caption)
        return {"message": f"Saved: {PAST[verdict]}.", "verdicts": texts}

    def _undo(self, reviewer: str, body: Mapping[str, Any]) -> dict[str, Any]:
        key = tuple(str(body.get(name, "")) for name in ("image_id", "item", "item_id", "digest"))
        own = [verdict for verdict in self._on_item(key) if verdict.reviewer == reviewer]
        if own:
            self._desk.add(replace(own[-1], verdict="undo", entity=None, reason="", time=""))
        try:
            caption = _ReviewedItem(self._desk, body).named_caption
        except (PostError, UnknownPairError):  # it has left, or has changed
            caption = None
        texts = texts_of(self._on_item(key), caption)
        return {
            "undone": bool(own),
            "message": "Undone." if own else "You have no verdict here to undo.",
            "verdicts": texts,
        }

    def _on_item(self, key: tuple[str, ...]) -> list[ReviewVerdict]:
        """The verdicts on an item that count."""
        return [verdict for verdict in self._desk.verdicts(key[0]) if verdict.key == key]


class _ReviewedItem:
    """A caption or question that a request is about, if it is still as the reviewer saw it.

    Raises:
        PostError: if it is not in the dataset, or has changed.
    """

    def __init__(self, desk: ReviewDesk, body: Mapping[str, Any]) -> None:
        try:
            key = PairKey(str(body["delivery"]), int(body["shard"]), str(body["image_id"]), str(body["caption"]))
            self.item, self.item_id = str(body["item"]), str(body["item_id"])
            self._pair = desk.pair(key)
        except (KeyError, TypeError, ValueError, OverflowError):
            raise PostError("the request names no pair") from None
        self._desk, self._key, self.caption, row = desk, key, self._pair.caption, self._pair.row
        if self.item == "caption":
            self.digest = caption_digest(row["image_id"], self.caption)
        else:
            questions = {question_id(question): question for question in row["questions"]}
            if self.item_id not in questions:
                raise PostError("the question is not in the dataset: load the page again")
            self.digest = question_digest(row["image_id"], questions[self.item_id])
        if self.digest != body.get("digest"):
            raise PostError("the dataset has changed since the page was loaded: load it again")
        # The queue draws captions: which of an image's questions are judged is the choice of the reviewer, and no sample.
        self._queue = "random" if body.get("queue") == "random" and self.item == "caption" else "browse"

    def verdict(self, reviewer: str, verdict: str, entity: int | None = None, reason: str = "") -> ReviewVerdict:
        """A verdict on the item."""
        return ReviewVerdict(
            reviewer=reviewer,
            delivery=self._key.delivery,
            shard=self._key.shard,
            patient=self._pair.row["patient"],
            image_id=self._key.image_id,
            item=self.item,
            item_id=self.item_id,
            entity=entity,
            verdict=verdict,
            reason=reason,
            queue=self._queue,
            digest=self.digest,
        )

    @property
    def key(self) -> tuple[str, ...]:
        """What verdicts on the item are about."""
        return self._key.image_id, self.item, self.item_id, self.digest

    @property
    def named_caption(self) -> CaptionStruct | None:
        """The caption, whose phrases verdicts on it name; None for a question."""
        return self.caption if self.item == "caption" else None


async def _body(request: Request) -> Mapping[str, Any]:
    """The JSON object of a request; an empty one for anything else."""
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
