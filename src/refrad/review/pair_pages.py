"""The pages of the review server: the list of pairs, one pair with its pictures, the queue and the summary."""

import re
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from refrad.anatomy.schema import Schema
from refrad.dicom.hanging import TURNS
from refrad.review.desk import CHANGED, LeftOutItem, ListedPair, PairKey, ReviewDesk
from refrad.review.items import caption_digest, question_digest, question_id
from refrad.review.judgement import ReviewVerdict
from refrad.review.pair_address import address, key_of, key_query, pair_address, whole_number
from refrad.review.pair_selection import LONGEST_TEXT, PairSelection
from refrad.review.pair_view import (
    boxes_of,
    colours_of,
    default_window,
    entities_of,
    origin_of,
    outlines_of,
    split_text,
    view_of,
)
from refrad.review.review_pages import render_page
from refrad.review.slice_pictures import WINDOWS
from refrad.review.suspicion import SUSPICIONS
from refrad.review.verdict_posts import VerdictText, reviewer_of, texts_of
from refrad.review.volume_shelf import ShardKey, StoredVolume, VolumeShelf

__all__ = ["PairPages"]

PAGE = 24  # pairs
OWN_ADDRESS = re.compile(r"/(?![/\\])[!-~]*")  # browsers take /\\host for another host, and drop tabs
FROM_STORE = "Exact voxels of the volume."
FROM_DATASET = "The volume is not in the store: this is the picture of the dataset."


class PairPages:
    """The answers to what browsers fetch.

    Args:
        desk: the dataset and the verdicts.
        shelf: the volumes and label volumes.
        schema: the class schema.
        reviewer: the name of reviewers who gave none, or empty.
    """

    def __init__(self, desk: ReviewDesk, shelf: VolumeShelf, schema: Schema, reviewer: str) -> None:
        self._desk, self._shelf, self._schema, self._reviewer = desk, shelf, schema, reviewer

    def list_pairs(self, request: Request) -> Response:
        """A page of the list."""
        selection = PairSelection.of(request.query_params)
        number = max(1, whole_number(request.query_params.get("page", "1")))
        total, pairs = self._desk.find(selection, (number - 1) * PAGE, PAGE)
        pages = max(1, -(-total // PAGE))
        if number > pages:
            return RedirectResponse(address("/", vars(selection) | {"page": pages}), 303)
        return self._page(
            request,
            "pairs",
            "Pairs",
            current="Pairs",
            selection=selection,
            choices=self._desk.choices(selection),
            pairs=[self._card(pair, selection, rank) for rank, pair in enumerate(pairs, (number - 1) * PAGE + 1)],
            total=total,
            changed=CHANGED if len(pairs) < min(PAGE, total - (number - 1) * PAGE) else "",
            number=number,
            pages=pages,
            first=(number - 1) * PAGE + 1,
            previous=address("/", vars(selection) | {"page": number - 1}) if number > 1 else "",
            next=address("/", vars(selection) | {"page": number + 1}) if number < pages else "",
        )

    def show_pair(self, request: Request) -> Response:
        """One pair."""
        reviewer = reviewer_of(request, self._reviewer)
        if not reviewer:
            return _to_reviewer(request)
        key, queue = key_of(request), request.query_params.get("queue") == "random"
        pair = self._desk.pair(key)
        row, caption = pair.row, pair.caption
        volume = self._volume(key, pair)
        window = default_window(row, caption, self._schema)
        return self._page(
            request,
            "pair",
            "Pair",
            current="Random queue" if queue else "Pairs",
            queue=queue,
            **(self._progress(reviewer, pair) if queue else self._turns(request, key)),
            key=key._asdict(),
            digest=caption_digest(row["image_id"], caption),
            slice=self._slice(key, pair, volume, window),
            view=view_of(row, _picture_address(key, pair, volume, window)),
            marks=row["edges"],
            windows=WINDOWS["CT" if row["modality"] == "CT" else "MR"],
            source=FROM_STORE if volume else FROM_DATASET,
            heading=" · ".join(_facts(pair)),
            caption=caption,
            parts_of_text=split_text(caption),
            entities=entities_of(caption, row, self._schema),
            boxes=boxes_of(caption["entities"], self._schema),
            outlines=outlines_of(row, colours_of(caption["entities"]), colours_of(caption["entities"]), self._schema),
            suspicions=self._desk.signs(pair),
            verdicts=_verdict_texts(pair),
            siblings=_siblings(key, pair),
            questions=_questions(pair),
            origin=origin_of(row, caption, key.delivery, key.shard),
        )

    def next_of_queue(self, request: Request) -> Response:
        """On to the next pair of the random queue."""
        reviewer = reviewer_of(request, self._reviewer)
        if not reviewer:
            return _to_reviewer(request)
        key = self._desk.next_random(reviewer)
        if key is None:
            own, judged, total = self._desk.progress(reviewer)
            text = f"There is no pair left for you. You have judged {own:,}, all reviewers {judged:,} of {total:,}."
            return self._page(request, "message", "Random queue", current="Random queue", message=text)
        return RedirectResponse(pair_address(key, PairSelection(), queue="random"), 303)

    def show_summary(self, request: Request) -> Response:
        """Precision, agreement and counts."""
        return self._page(request, "summary", "Summary", current="Summary", summary=self._desk.summary())

    def list_left_out(self, request: Request) -> Response:
        """What left the dataset at the last run because of verdicts, which can be taken back."""
        text = request.query_params.get("text", "")[:LONGEST_TEXT]
        number = max(1, whole_number(request.query_params.get("page", "1")))
        total, items = self._desk.left_out(text, (number - 1) * PAGE, PAGE)
        pages = max(1, -(-total // PAGE))
        reviewer = reviewer_of(request, self._reviewer)
        return self._page(
            request,
            "left_out",
            "Left out",
            current="Left out",
            text=text,
            items=[_left_out_card(item, reviewer) for item in items],
            total=total,
            number=number,
            pages=pages,
            previous=address("/left-out", {"text": text, "page": number - 1}) if number > 1 else "",
            next=address("/left-out", {"text": text, "page": number + 1}) if number < pages else "",
        )

    def ask_reviewer(self, request: Request) -> Response:
        """The form for the reviewer's name."""
        target = request.query_params.get("next", "/")
        on = target if OWN_ADDRESS.fullmatch(target) else "/"
        return self._page(request, "reviewer", "Reviewer", next=on)

    def _page(self, request: Request, page: str, title: str, current: str = "", **values: Any) -> Response:
        reviewer = reviewer_of(request, self._reviewer)
        return HTMLResponse(render_page(page, title, reviewer, current, **values))

    def _progress(self, reviewer: str, pair: ListedPair) -> dict[str, Any]:
        """The place in the random queue. Nobody goes on without a verdict, since a sample must have no gaps."""
        own, judged, total = self._desk.progress(reviewer)
        is_judged = any(verdict.reviewer == reviewer for verdict in _on_caption(pair, pair.verdicts))
        return {"own": own, "judged": judged, "total": total, "previous": "", "next": "/queue" if is_judged else ""}

    def _turns(self, request: Request, key: PairKey) -> dict[str, Any]:
        """The place in a selection, and the pairs before and after."""
        selection = PairSelection.of(request.query_params)
        number = whole_number(request.query_params.get("number", ""))
        near = self._desk.neighbours(selection, key, number)
        at = near.number or number
        return {
            "position": near.number,
            "total": near.total,
            "back": address("/", vars(selection) | {"page": (max(at, 1) - 1) // PAGE + 1}),
            "previous": pair_address(near.before, selection, at - 1) if near.before else "",
            "next": pair_address(near.after, selection, at + 1 if near.number else at) if near.after else "",
        }

    def _volume(self, key: PairKey, pair: ListedPair) -> StoredVolume | None:
        """The volume that the image of a pair is a slice of, if the store has it in the size of the image."""
        row = pair.row
        volume = self._shelf.volume(ShardKey(key.delivery, key.shard), row["volume"])
        if volume is None or row["index"] >= volume.voxels.shape[2]:
            return None
        width, height = TURNS[row["turn"]].size(*volume.voxels.shape[:2])
        return volume if (width, height) == (row["width"], row["height"]) else None

    def _slice(self, key: PairKey, pair: ListedPair, volume: StoredVolume | None, window: str) -> dict[str, Any]:
        """What the script of the page needs to turn slices, to choose windows and to zoom."""
        row, colours = pair.row, colours_of(pair.caption["entities"])
        of_volume = {"of": key.delivery, "shard": key.shard, "volume": row["volume"], "turn": row["turn"]}
        return {
            "path": "/slice.png" if volume else "/picture.png",
            "pair": dict(key_query(key)),
            "address": of_volume if volume else dict(key_query(key)),
            "index": row["index"],
            "count": volume.voxels.shape[2] if volume else 0,
            "window": window,
            "classes": list(colours),
            "colours": colours,
            "spacing": [row["spacing_x"] or 1.0, row["spacing_y"] or 1.0],
            "font_mm": view_of(row, "").font_mm,
        }

    def _card(self, pair: ListedPair, selection: PairSelection, number: int) -> dict[str, Any]:
        """A pair of the list."""
        window = default_window(pair.row, pair.caption, self._schema)
        texts = texts_of(_on_caption(pair, pair.verdicts), pair.caption)
        return {
            "view": view_of(pair.row, _picture_address(pair.key, pair, None, window)),
            "boxes": boxes_of(pair.caption["entities"], self._schema),
            "text": pair.caption["text"],
            "language": pair.caption["language"],
            "caption": f"caption {pair.caption['caption']}",
            "href": pair_address(pair.key, selection, number),
            "facts": _facts(pair),
            "verdicts": texts,
            "state": texts[-1]["state"] if texts else "",
            "suspicions": [(name, SUSPICIONS[name].sentence) for name in pair.suspicions],
        }


def _left_out_card(item: LeftOutItem, reviewer: str) -> dict[str, Any]:
    """An item that left at the last run."""
    row = item.row
    facts = (row["modality"], row["plane"], row["language"], row["split"], row["item"], f"slice {row['index'] + 1}")
    return {
        **row,
        "facts": [fact for fact in facts if fact],
        "names": item.classes,
        "verdicts": texts_of(item.verdicts),
        "followers": item.followers,
        "own": any(verdict.reviewer == reviewer and verdict.verdict != "accept" for verdict in item.verdicts),
        "returns": all(verdict.verdict == "accept" for verdict in item.verdicts),
    }


def _siblings(key: PairKey, pair: ListedPair) -> list[dict[str, str]]:
    """The pairs of the same image."""
    return [
        {
            "text": caption["text"],
            "language": caption["language"],
            "href": pair_address(key._replace(caption=caption["caption"]), PairSelection()),
        }
        for caption in pair.row["captions"]
        if caption["caption"] != key.caption
    ]


def _picture_address(key: PairKey, pair: ListedPair, volume: StoredVolume | None, window: str) -> str:
    if volume is None:
        return address("/picture.png", [*key_query(key), ("window", window)])
    values = {"of": key.delivery, "shard": key.shard, "volume": pair.row["volume"], "turn": pair.row["turn"]}
    return address("/slice.png", values | {"index": pair.row["index"], "window": window})


def _to_reviewer(request: Request) -> Response:
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(address("/reviewer", {"next": request.url.path + query}), 303)


def _facts(pair: ListedPair) -> list[str]:
    row, caption = pair.row, pair.caption
    names = row["modality"], row["plane"], caption["language"], row["split"], f"tied by {caption['tie']}"
    return [name for name in (*names, "" if caption["entities"] else "not grounded: no box") if name]


def _questions(pair: ListedPair) -> list[dict[str, Any]]:
    image_id = pair.row["image_id"]
    return [
        dict(question) | {"id": question_id(question), "digest": question_digest(image_id, question)}
        for question in pair.row["questions"]
    ]


def _on_caption(pair: ListedPair, verdicts: Sequence[ReviewVerdict]) -> list[ReviewVerdict]:
    digest = caption_digest(pair.row["image_id"], pair.caption)
    of_caption = "caption", pair.caption["caption"], digest
    return [verdict for verdict in verdicts if (verdict.item, verdict.item_id, verdict.digest) == of_caption]


def _verdict_texts(pair: ListedPair) -> dict[str, list[VerdictText]]:
    """The verdicts on the caption and on each question, by what the page calls them."""
    verdicts = pair.verdicts
    texts = {f"caption {pair.caption['caption']}": texts_of(_on_caption(pair, verdicts), pair.caption)}
    for question in _questions(pair):
        on_question = [
            entry for entry in verdicts if (entry.item_id, entry.digest) == (question["id"], question["digest"])
        ]
        texts[f"question {question['id']}"] = texts_of(on_question)
    return texts
