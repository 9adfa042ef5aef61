"""The review pages as HTML: text of the dataset is escaped wherever it stands."""

from functools import cache
from typing import Any

from jinja2 import Environment

from refrad.reporting.templating import page_environment

__all__ = ["ACTIONS", "KEYS", "REASONS", "render_page"]

# Verdicts on a caption that one key gives: the verdict, its button, its key.
ACTIONS = (
    ("accept", "Accept", "a"),
    ("reject", "Reject", "r"),
    ("wrong_span", "Wrong span", "s"),
    ("wrong_box", "Wrong box", "b"),
    ("wrong_side", "Wrong side", "d"),
    ("undo", "Undo", "u"),
)
REASONS = (
    "not visible in this image",
    "another image is meant",
    "the sentence is wrong",
    "the sentence cannot be understood",
    "names a person or place",
    "the image is of no use",
)
KEYS = (
    (("j", "k"), "next pair, pair before (also arrow down and up)"),
    (("a",), "accept"),
    (("r",), "reject, with a reason"),
    (("s", "b", "d"), "wrong span, wrong box, wrong side of a phrase"),
    (("1", "9"), "choose a phrase by its number, 1 to 9"),
    (("u",), "undo the last verdict, by a later one"),
    (("v",), "next question; a, r and u then judge it"),
    (("n", "p"), "next slice, slice before (also arrow right and left); in the list: next page, page before"),
    (("w",), "next window"),
    (("z",), "zoom to the boxes, and back; the wheel zooms, dragging moves"),
    (("o",), "outlines of other classes"),
    (("Enter",), "open the pair of the list"),
    (("/",), "search"),
    (("Esc",), "choose nothing"),
    (("?",), "these keys"),
)


@cache
def _environment() -> Environment:
    environment = page_environment("refrad.review")
    environment.globals |= {"ACTIONS": ACTIONS, "KEYS": KEYS, "REASONS": REASONS}
    return environment


def render_page(page: str, title: str, reviewer: str, current: str = "", **values: Any) -> str:
    """A page of this package.

    Args:
        page: name of its template.
        title: of the page.
        reviewer: the reviewer's name, or empty.
        current: name of the entry of the navigation that the page belongs to.
        values: of the template; one that it misses raises.
    """
    template = _environment().get_template(f"{page}.html")
    return template.render(page=page, title=title, reviewer=reviewer, current=current, **values)
