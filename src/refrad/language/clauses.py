"""Where the clauses of a sentence begin and end, for the assignment of sides."""

import re
from collections.abc import Sequence

__all__ = ["Clauses"]

_CONJUNCTION = re.compile(r"und|and|sowie|or|oder|u", re.IGNORECASE)
_CONTRAST = re.compile(
    r"aber|jedoch|sondern|dagegen|hingegen|während|but|however|although|though|while|whereas", re.IGNORECASE
)
_LEADS_TO_SIDE = re.compile(r"on|at|to|in|the|auf|an|der|die|des|den", re.IGNORECASE)
_TOPIC = re.compile(
    rf"(?:Körper)?(?:seite|hälfte)|hand|sides?|hemithorax|[.()*•-]|{_LEADS_TO_SIDE.pattern}|{_CONJUNCTION.pattern}|{_CONTRAST.pattern}",
    re.IGNORECASE,
)
_LONGEST_TOPIC = 6  # tokens
_SHORTEST_END = 4  # letters of a word before a full stop that is no abbreviation
_UNIT = ("mm", "cm", "ml")


class Clauses:
    """The clauses of a sentence: parts between marks, contrasting words, and a conjunction with a new side after it.

    `words` are its tokens, `sided` says which are side words; positions are numbers of tokens.
    """

    def __init__(self, words: Sequence[str], sided: Sequence[bool]) -> None:
        self._words, self._sided = words, sided
        self.number: list[int] = []
        self.ranges: list[range] = []
        start = 0
        for position in range(len(words) + 1):
            ends = position == len(words) or self.is_border(position)
            if ends or (position > start and self._begins(start, position)):
                self.ranges.append(range(start, position))
                start = position + ends
                self.number += [len(self.ranges) - 1] * (start - len(self.number))
        self.number = self.number[: len(words)]

    def is_border(self, position: int) -> bool:
        """The token is a mark that ends a clause; a dot ends it only after a whole word."""
        word = self._words[position]
        if word in ",;:":
            return True
        if word != "." or position == 0 or position + 1 == len(self._words):
            return False
        before, after = self._words[position - 1], self._words[position + 1]
        is_end = (
            before in _UNIT
            or before in ").%"
            or (before.isalpha() and (len(before) >= _SHORTEST_END or before[1:].isupper()))
        )
        is_end = is_end or (self._sided[position - 1] and self._sided[position + 1])  # "Niere re. Links ..."
        return is_end and after[0].isupper()

    def opens(self, position: int) -> bool:
        """The side word begins its clause, after "on the" or "auf der" at most."""
        first = self._first_of_phrase(position)
        return (
            first == 0
            or self.is_border(first - 1)
            or self._words[first - 1] in "(/-"
            or bool(_CONJUNCTION.fullmatch(self._words[first - 1]) or _CONTRAST.fullmatch(self._words[first - 1]))
        )

    def is_topic(self, clause: int) -> bool:
        """The clause is a side and nothing more: "Links:", "On the right side,"."""
        return self._is_side_alone(self.ranges[clause])

    def mark_after(self, clause: int) -> str:
        """The mark with which the clause ends, or nothing."""
        stop = self.ranges[clause].stop
        return self._words[stop] if stop < len(self._words) and self.is_border(stop) else ""

    def _begins(self, start: int, position: int) -> bool:
        """A clause begins at the token without a mark: "aber", "und links ...", "and on the left"; `start` is that of the last."""
        word = self._words[position]
        if _CONTRAST.fullmatch(word):
            return True
        if not _CONJUNCTION.fullmatch(word):
            return False
        following = position + 1
        while (
            following < len(self._words)
            and following < position + 4
            and _LEADS_TO_SIDE.fullmatch(self._words[following])
        ):
            following += 1
        if following >= len(self._words) or not self._sided[following]:
            return False
        return not self._is_side_alone(range(start, position))

    def _first_of_phrase(self, position: int) -> int:
        while position > 0 and _LEADS_TO_SIDE.fullmatch(self._words[position - 1]):
            position -= 1
        return position

    def _is_side_alone(self, positions: range) -> bool:
        return (
            0 < len(positions) <= _LONGEST_TOPIC
            and any(self._sided[position] for position in positions)
            and all(self._sided[position] or _TOPIC.fullmatch(self._words[position]) for position in positions)
        )
