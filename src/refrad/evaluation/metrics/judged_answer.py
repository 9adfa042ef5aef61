"""An answer to judge: apart from the judge, so that scores without one need no client of language models."""

from typing import NamedTuple

__all__ = ["JudgedAnswer"]


class JudgedAnswer(NamedTuple):
    """An answer to judge."""

    question: str
    candidate: str
    reference: str
    language: str
