"""Captions from reports: sentences, de-identified, without comparisons, tied to the images that they name."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from refrad.anatomy.lexicon import Lexicon
from refrad.config import CaptionsOptions
from refrad.core.characters import clean_characters
from refrad.core.files import digest_bytes
from refrad.core.table_rows import CaptionRow, ReferenceRow
from refrad.core.types import LANGUAGES
from refrad.language.comparison_rules import cut_comparisons
from refrad.language.llm_rewriting import judge_captions, rewrite_captions, translate_captions
from refrad.language.references import ImageReference, take_references
from refrad.language.report_scrubbing import scrub_report
from refrad.language.sections import CAPTIONED, detect_language, split_report
from refrad.language.sentences import split_sentences
from refrad.llm import Models
from refrad.privacy.pseudonyms import Pseudonyms
from refrad.privacy.scrubbing import PLACEHOLDER
from refrad.sources.reports import Report
from refrad.sources.study_lookup import StudyLookup
from refrad.statements.addenda import find_superseded
from refrad.workflow.tally import Tally

__all__ = ["CAPTIONED", "CaptionBuilder", "ImageTie", "ManualTies", "collect_ties"]

WITHOUT_STUDY = 0  # the shard that counts the reports whose study is not in the delivery
DIGITS = 16  # of the ids of captions and sentences
CONTEXT = ("indication", "question")  # sections that are columns of captions


class ImageTie(NamedTuple):
    """An image of a caption: its pseudonym where it was tied by hand, or its numbers."""

    instance: str | None
    series_number: int | None = None
    image_first: int | None = None
    image_last: int | None = None
    plane: str | None = None


ManualTies = Mapping[str, Mapping[str, set[ImageTie]]]
"""Report id and sentence, without white space and mark at its end, to the images tied to it by hand."""


class CaptionBuilder:
    """Turns reports into rows of captions and references: add reports, apply the models, then count."""

    def __init__(
        self,
        studies: StudyLookup,
        pseudonyms: Pseudonyms,
        ties: ManualTies,
        lexicon: Lexicon,
        options: CaptionsOptions,
        tally: Tally,
    ) -> None:
        self.captions: list[CaptionRow] = []
        self.references: list[ReferenceRow] = []
        self._studies, self._pseudonyms, self._ties, self._lexicon = studies, pseudonyms, ties, lexicon
        self._options, self._tally = options, tally

    def add_report(self, report: Report, is_replaced: bool = False) -> None:
        """Add the captions of a report, if it belongs to this shard and no later one replaces it."""
        study = self._studies.study_of(report)
        if (self._studies.shard_of[study] if study else WITHOUT_STUDY) != self._studies.shard:
            return
        used = study is not None and study in self._studies.with_images and not is_replaced and not report.problem
        sections = split_report(self._scrub(report.text, study) if study and used else report.text)
        sentences = [(section, sentence) for section, text in sections for sentence in split_sentences(text)]
        self._tally.take(len(sentences))
        if report.problem:
            self._leave_out(report.problem, sentences)
        elif study is None:
            self._leave_out(self._studies.why_no_study(report), sentences)
        elif study not in self._studies.with_images:
            self._leave_out(self._studies.why_no_images(study), sentences)
        elif is_replaced:
            self._leave_out("replaced_report", sentences)
        else:
            for section, _ in sections:
                self._tally.add("sections", section)
            for section, _ in sentences:
                if section not in CAPTIONED:
                    self._tally.quarantine("context" if section in CONTEXT else "not_read")
                    self._tally.add("sentences without captions", section)
            captioned = [sentence for sentence in sentences if sentence[0] in CAPTIONED]
            self._add_sentences(report, study, join_sections(sections), captioned)

    def apply_models(self, models: Models) -> None:
        """Rewrite and translate the captions by language models, according to the options. Models get scrubbed text only."""
        rewritten, translated = [], []
        if self._options.rewrite == "llm":
            originals = {caption["caption"]: caption["text"] for caption in self.captions}
            self.captions = rewrite_captions(self.captions, models, self._lexicon)
            self._tally.quarantine("only_comparison", len(originals) - len(self.captions))
            rewritten = [
                (caption["language"], originals[caption["caption"]], caption["text"]) for caption in self.captions
            ]
        if self._options.translate == "llm":
            translated = self._add_translations(models)
        ids = {caption["caption"] for caption in self.captions}
        self.references = [reference for reference in self.references if reference["caption"] in ids]
        if self._options.judge:
            judge_captions({"rewrite": rewritten, "translate": translated}, models, self._options.judge, self._tally)
        models.account(self._tally)

    def count(self) -> None:
        """Count captions and references; a sentence in two languages is used once."""
        self._tally.use(sum(caption["translator"] == "source" for caption in self.captions))
        self._tally.make("captions", len(self.captions))
        self._tally.make("references", len(self.references))
        for caption in self.captions:
            self._tally.add("language", caption["language"])
            self._tally.add("section", caption["section"])
            self._tally.add("tie", caption["tie"])
            self._tally.add("rewriter", caption["rewriter"])
            self._tally.add("translator", caption["translator"])

    def _leave_out(self, reason: str, sentences: list[tuple[str, str]]) -> None:
        self._tally.quarantine(reason, len(sentences))
        self._tally.add("reports", reason)

    def _add_sentences(
        self, report: Report, study: str, texts: Mapping[str, str], sentences: list[tuple[str, str]]
    ) -> None:
        language = report.language if report.language in LANGUAGES else detect_language(report.text)
        name = self._pseudonyms.report(f"{study}|{report.report_id}")
        indication = " ".join(texts.get("indication", "").split()) or None
        question = " ".join(texts.get("question", "").split()) or None
        ties_of = tied_sentences([sentence for _, sentence in sentences], self._ties.get(report.report_id, {}))
        superseded = find_superseded(sentences, language, self._lexicon)
        earlier: set[str] = set()
        for position, (section, sentence) in enumerate(sentences):
            if position in superseded:
                self._tally.quarantine("superseded")
                continue
            images, text = take_references(sentence, self._studies.series_of.get(study, ()))
            text, rewriter = cut_comparisons(text, language) if self._options.rewrite == "rules" else (text, "none")
            if not has_words(text) or text in earlier:
                self._tally.quarantine("duplicate_sentence" if has_words(text) else "empty_after_scrub")
                continue
            earlier.add(text)
            ties = ties_of.get(sentence, set())
            caption = CaptionRow(
                report=name,
                study=study,
                patient=self._studies.patient_of[study],
                language=language,
                indication=indication,
                question=question,
                translator="source",
                caption=caption_id(name, position, language),
                sentence=caption_id(name, position, ""),
                section=section,
                position=position,
                text=text,
                tie="explicit" if ties else "reference" if images else "structure",
                rewriter=rewriter,
            )
            self.captions.append(caption)
            self._add_references(caption, ties, images)
        self._tally.add("reports", "used")

    def _add_references(self, caption: CaptionRow, ties: Iterable[ImageTie], images: Iterable[ImageReference]) -> None:
        for tie in [*sorted(ties, key=str), *(ImageTie(None, *image) for image in images)]:
            if tie.instance is None:
                self._tally.add("references", self._studies.outcome(caption["study"], *tie[1:]))
            row = ReferenceRow(
                caption=caption["caption"],
                instance=tie.instance,
                series_number=tie.series_number,
                image_first=tie.image_first,
                image_last=tie.image_last,
                plane=tie.plane,
            )
            self.references.append(row)

    def _add_translations(self, models: Models) -> list[tuple[str, str, str]]:
        """Add a translation of each caption, with its references; returns (language, original, translation)."""
        pairs = [
            (
                caption,
                translation
                | {"caption": caption_id(translation["report"], translation["position"], translation["language"])},
            )
            for caption, translation in translate_captions(self.captions, models, self._lexicon)
        ]
        twins = {caption["caption"]: translation["caption"] for caption, translation in pairs}
        self.captions += [translation for _, translation in pairs]
        self.references += [
            reference | {"caption": twins[reference["caption"]]}
            for reference in self.references
            if reference["caption"] in twins
        ]
        self._tally.add("translation", "translated", len(pairs))
        self._tally.add("translation", "failed", len(self.captions) - 2 * len(pairs))
        return [(caption["language"], caption["text"], translation["text"]) for caption, translation in pairs]

    def _scrub(self, text: str, study: str) -> str:
        series = self._studies.series_of.get(study, ())
        clean, counts = scrub_report(text, self._studies.identifiers(study), self._lexicon, series)
        for kind, number in counts.items():
            self._tally.add("scrubbed", kind, number)
        return clean


def collect_ties(rows: Iterable[Mapping[str, str]], studies: StudyLookup, source: str) -> ManualTies:
    """The images tied to sentences by hand, by instance or by numbers of series and image; instances of no file are left out.

    Args:
        rows: of the file of references; columns report_id, sentence, and instance_uid or series_number and image_number.
        studies: the studies of the shard.
        source: name of the file, for messages.

    Raises:
        ValueError: if a column is missing or a number is none.
    """
    ties: dict[str, dict[str, set[ImageTie]]] = {}
    for line, row in enumerate(rows, start=2):
        missing = {"report_id", "sentence"} - set(row)
        if missing or not ("instance_uid" in row or {"series_number", "image_number"} <= set(row)):
            columns = " and ".join(sorted(missing)) or "instance_uid, or series_number and image_number"
            raise ValueError(f"{source}: has no column {columns}")
        sentences = ties.setdefault(row["report_id"], {})
        images = sentences.setdefault(plain_sentence(row["sentence"]), set())
        if uid := row.get("instance_uid"):
            images |= {ImageTie(instance) for instance in studies.instances_of.get(uid, set())}
        elif row.get("series_number") or row.get("image_number"):
            try:
                number = int(row["image_number"])
                images.add(ImageTie(None, int(row["series_number"]), number, number))
            except ValueError:
                raise ValueError(f"{source}: line {line}: series_number and image_number must be numbers") from None
    return ties


def join_sections(sections: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Section to text, joined where a section comes twice."""
    texts: dict[str, str] = {}
    for section, text in sections:
        texts[section] = f"{texts[section]} {text}" if section in texts else text
    return texts


def tied_sentences(sentences: Sequence[str], ties: Mapping[str, set[ImageTie]]) -> dict[str, set[ImageTie]]:
    """The images of each sentence of a report that is tied by hand.

    Ties hold sentences as the report was written; in `sentences` each placeholder is for any text.
    """
    plain = {sentence: plain_sentence(sentence) for sentence in sentences}
    unscrubbed = set(plain.values())
    images: dict[str, set[ImageTie]] = {}
    for sentence, scrubbed in plain.items():
        for original, tied in ties.items():
            if original == scrubbed or (original not in unscrubbed and is_scrubbed_form(scrubbed, original)):
                images.setdefault(sentence, set()).update(tied)
    return images


def is_scrubbed_form(scrubbed: str, original: str) -> bool:
    """Whether the original becomes the scrubbed sentence if some of its text is replaced by the placeholders."""
    first, *pieces = PLACEHOLDER.split(scrubbed)
    if not pieces or not original.startswith(first):
        return False
    position = len(first)
    for piece in pieces[:-1]:
        position = original.find(piece, position + 1) + len(piece)
        if position < len(piece):
            return False
    return original.endswith(pieces[-1]) and position < len(original) - len(pieces[-1])


def plain_sentence(sentence: str) -> str:
    """A sentence without white space and marks at its end, which change when it is copied."""
    return " ".join(clean_characters(sentence).split()).rstrip(" .;")


def has_words(text: str) -> bool:
    """Whether a word of two letters is left outside the placeholders."""
    return re.search(r"[^\W\d_]{2,}", PLACEHOLDER.sub("", text)) is not None


def caption_id(report: str, position: int, language: str) -> str:
    """The id of a sentence of a report, by its position; without a language the same for all languages."""
    return digest_bytes(report.encode(), str(position).encode(), language.encode())[:DIGITS]
