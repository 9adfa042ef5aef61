"""Sides that are given away from their noun: for the clause, by a heading, or as the second side of an organ."""

import re
from collections import defaultdict
from collections.abc import Sequence

from refrad.language.side_words import HALF_OF_THE_BODY, NONE, STOP, UNIT, Anchor, SidedSentence, Sides

__all__ = ["LEFT_LUNG", "assign_distant_sides"]

LEFT_LUNG = "lung_left"  # a lung without a side means both lungs more often than not
_DENIAL = {"not", "no", "none", "nicht", "kein", "keine", "keiner"}
MAX_CLAUSE = 40  # tokens of a clause that are looked at for nouns
_PREDICATE = re.compile(
    r"normal|unremarkable|clear|intact|small|large|larger|smaller|thin|thick|slim|absent|patent|free|mild|moderate|severe|more|less"
    r"|than|side|too|also|only|unchanged|\w+(?:ly|ed|ic)",
    re.IGNORECASE,
)
# Findings without an organ in their name, which are of the organ spoken of: "Niere rechts normal, links Zyste".
_FINDING = re.compile(
    r"Steine?|Konkremente?|Zysten?|Herde?|Läsion(?:en)?|Raumforderung(?:en)?|Tumor(?:en)?|Metastasen?|Fraktur(?:en)?"
    r"|Verkalkung(?:en)?|Adenome?|Knoten|Abszess|Infarkte?|Narben?|Stenosen?|Plaques?|Thromb(?:us|ose)|Aneurysma|Stau(?:ung)?"
    r"|Rundherde?|stones?|calcul(?:us|i)|cysts?|lesions?|mass(?:es)?|tumou?rs?|metastas[ie]s|fractures?|calcifications?"
    r"|adenomas?|nodules?|abscess|infarcts?|scars?|stenos[ie]s|plaques?|thromb(?:us|osis)|aneurysm",
    re.IGNORECASE,
)


def assign_distant_sides(sentence: SidedSentence, free: Sequence[int]) -> None:
    """Set the sides of the mentions that have none, and second sides, from the side words that no mention has taken."""
    _Distant(sentence, free).run()


class _Distant:
    """The mentions and the free side words of one sentence, by clause."""

    def __init__(self, sentence: SidedSentence, free: Sequence[int]) -> None:
        self.sentence, self.clauses = sentence, sentence.clauses
        self.free: dict[int, list[int]] = defaultdict(list)
        for position in free:
            self.free[self.clauses.number[position]].append(position)
        self.anchors: dict[int, list[Anchor]] = defaultdict(list)
        for anchor in sentence.anchors:
            if sentence.is_paired(anchor):
                self.anchors[self.clauses.number[anchor.first]].append(anchor)

    def run(self) -> None:
        """Headings and topics, second sides, and then the other mentions by their clause."""
        self.read_topics()
        self.read_headings()
        for clause in sorted(self.free):
            if not self.anchors.get(clause):
                self.add_second_side(clause)
        for clause, anchors in self.anchors.items():
            for anchor in anchors:
                anchor.sides = anchor.sides or self.sides_in_clause(anchor, clause)
        by_class: dict[str, set[Sides]] = defaultdict(set)
        for anchor in self.sentence.anchors:
            for name in anchor.classes if anchor.sides else ():
                by_class[name].add(anchor.sides)
        for anchors in self.anchors.values():
            in_clause = {anchor.sides for anchor in anchors if anchor.sides}
            for anchor in anchors:
                if not anchor.sides and not self.sentence.is_plural(anchor):
                    of_organ = set().union(*(by_class[name] for name in anchor.classes))
                    anchor.sides = _only(of_organ) or (NONE if LEFT_LUNG in anchor.classes else _only(in_clause))

    def read_topics(self) -> None:
        """Sides that stand alone: "Rechts: Niere normal", "On the left, the kidney ...", "Nierenstein, links"."""
        heading = NONE
        for clause in range(len(self.clauses.ranges)):
            half = [position for position in self.free.get(clause, ()) if self.is_half(position)]
            if self.free.get(clause) and self.clauses.is_topic(clause):
                sides = self.sentence.sides_at(self.free[clause])
                if self.clauses.mark_after(clause) == ":":
                    heading = sides
                    del self.free[clause]
                else:
                    self.give_to_neighbour(clause, sides)
                continue
            for anchor in self.anchors.get(clause, ()) if heading else ():
                before = [position for position in half if position < anchor.first]
                if not anchor.sides and not before and not self.free.get(clause):
                    anchor.sides = heading
            if half:
                heading = self.sentence.side[half[-1]]
                for anchor in self.anchors.get(clause, ()):
                    if not anchor.sides and anchor.first > half[-1]:
                        anchor.sides = heading

    def give_to_neighbour(self, clause: int, sides: Sides) -> None:
        """Give the sides of a clause that is nothing more to the mention before it, or to those after it."""
        before = [anchor for anchor in self.anchors.get(clause - 1, ()) if not anchor.sides]
        after = [anchor for anchor in self.anchors.get(clause + 1, ()) if not anchor.sides]
        singular = [anchor for anchor in before if not self.sentence.is_plural(anchor)]
        if singular and not self.free.get(clause - 1):
            singular[-1].sides = sides
            del self.free[clause]
        elif after and not self.free.get(clause + 1):
            for anchor in after:
                anchor.sides = sides
            del self.free[clause]

    def is_half(self, position: int) -> bool:
        """The side word is of a half of the body: "in der rechten Thoraxhälfte"."""
        following = self.sentence.tokens[position + 1 : position + 3]
        return any(HALF_OF_THE_BODY.fullmatch(token.text) for token in following)

    def read_headings(self) -> None:
        """Organs before a colon: "Rechte Hüfte: Femurkopf entrundet", "Niere: rechts 10 cm, links 11 cm"."""
        heading: Anchor | None = None
        for clause in range(len(self.clauses.ranges)):
            anchors = self.anchors.get(clause, [])
            if heading and heading.sides:
                for anchor in anchors:
                    if not anchor.sides and not self.free.get(clause):
                        anchor.sides = heading.sides
            elif heading and not anchors and not self.sentence.is_plural(heading):
                positions = self.free.pop(clause, [])
                heading.after |= self.sentence.sides_at(positions)
            if anchors and heading and not heading.sides and heading.after:
                heading.sides = heading.after
            if anchors and self.clauses.mark_after(clause) == ":":
                heading = anchors[-1]
                if not heading.sides and self.sentence.is_plural(heading):
                    heading.sides = self.sides_below(clause, heading)
            elif anchors and heading and not heading.sides:
                heading = None
        if heading and not heading.sides:
            heading.sides = heading.after

    def sides_below(self, clause: int, heading: Anchor) -> Sides:
        """The sides of the clauses below a plural heading, if each has one and no other organ: "Nieren: rechts Stein"."""
        sides = NONE
        for below in range(clause + 1, len(self.clauses.ranges)):
            anchors = self.anchors.get(below, [])
            of_clause = self.sentence.sides_at(self.free.get(below, ())).union(*(anchor.sides for anchor in anchors))
            if not of_clause or any(anchor.of is not heading for anchor in anchors):
                return NONE
            sides |= of_clause
        return sides

    def add_second_side(self, clause: int) -> None:
        """A side without a noun belongs to the organ before: "Niere rechts 10 cm, links 11 cm", "linke Niere klein, rechte groß"."""
        positions = self.clauses.ranges[clause]
        if any(self.sentence.word(position).lower() in _DENIAL for position in positions[:MAX_CLAUSE]):
            return  # "Hydronephrosis on the left but not on the right"
        if not all(self.is_said_of_organ(position) for position in positions[:MAX_CLAUSE]):
            return
        for before in range(clause - 1, -1, -1):
            for anchor in reversed(self.anchors.get(before, ())):
                if anchor.after or anchor.before:
                    anchor.sides |= self.sentence.sides_at(self.free[clause])
                    return

    def is_said_of_organ(self, position: int) -> bool:
        """No noun of its own, or a finding of the organ spoken of."""
        word = self.sentence.word(position)
        if position in self.sentence.owner:
            return False
        if self.sentence.side[position] or not word[0].isalpha() or _FINDING.fullmatch(word):
            return True
        if self.sentence.language == "de":
            return word[0].islower()
        return bool(STOP.fullmatch(word) or UNIT.fullmatch(word) or _PREDICATE.fullmatch(word))

    def sides_in_clause(self, anchor: Anchor, clause: int) -> Sides:
        """The free side words of the mention's clause; of a plural only one that begins it ("Linksseitig mehrere Rippenfrakturen")."""
        inside = self.free.get(clause, [])
        if self.sentence.is_plural(anchor):
            inside = [position for position in inside if position < anchor.first and self.clauses.opens(position)]
        return self.sentence.sides_at(inside)


def _only(sides: set[Sides]) -> Sides:
    return next(iter(sides)) if len(sides) == 1 else NONE
