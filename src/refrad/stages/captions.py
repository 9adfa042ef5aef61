"""Take the sentences out of the reports: de-identified, without comparisons, tied to the images they name."""

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from refrad.anatomy.lexicon import Lexicon, load_lexicon
from refrad.config import CaptionsOptions
from refrad.core.contracts import CaptionTable, InstanceTable, ReferenceTable
from refrad.core.files import digest_bytes
from refrad.core.tables import frame_of, scan_table, write_table
from refrad.core.types import LANGUAGES
from refrad.language.comparison_rules import cut_comparisons
from refrad.language.lexicon_matcher import is_anatomy
from refrad.language.llm_rewriting import judge_captions, rewrite_captions, translate_captions
from refrad.language.references import ImageReference, take_references
from refrad.language.sections import detect_language, sections_of
from refrad.language.sentences import sentences_of
from refrad.language.sources import Report, read_reports, read_rows
from refrad.language.study_lookup import StudyLookup
from refrad.llm import Models, open_models
from refrad.privacy.pseudonyms import FileTable, Pseudonyms, read_or_create_key
from refrad.privacy.scrubbing import PLACEHOLDERS, Identifiers, scrub
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import Tally

__all__ = ["VERSION", "run"]

log = logging.getLogger(__name__)

VERSION = 2

WITHOUT_STUDY = 0  # the shard that counts the reports whose study is not in the delivery
DIGITS = 16  # of the ids of captions and sentences

_PLACEHOLDER = re.compile(rf"\[(?:{'|'.join(PLACEHOLDERS)})\]")


def run(
    *,
    reports: Path,
    instances: Path,
    files: Path,
    lexicon: Path,
    key: Path,
    shard: int,
    captions: Path,
    image_references: Path,
    metrics: Path,
    fingerprint: Fingerprint,
    references: Path | None = None,
    llm: str | None = None,
) -> None:
    """Write the captions of one shard and the images that they name.

    Raises:
        ValueError: if the reports or the references lack a column, or a model cannot be asked.
    """
    options = CaptionsOptions.model_validate(fingerprint.options)
    tally = Tally("sentences")
    studies = StudyLookup(scan_table(files, FileTable), scan_table(instances, InstanceTable), shard)
    ties = _read_ties(references, studies) if references else {}
    words = load_lexicon(lexicon)
    anatomy = partial(is_anatomy, lexicon=words)
    organ = partial(is_anatomy, lexicon=words, exactly=True)
    desk = Desk(studies, Pseudonyms(read_or_create_key(key)), ties, (anatomy, organ), tally, options)
    for report in read_reports(reports):
        desk.take(report)
    with open_models(llm) as models:
        desk.ask(models, words)
    desk.count()
    log.info("captions: %d sentences, %d captions", tally.taken, len(desk.captions))
    write_table(captions, frame_of(desk.captions, CaptionTable), CaptionTable, fingerprint)
    write_table(image_references, frame_of(desk.references, ReferenceTable), ReferenceTable, fingerprint)
    tally.write(metrics, fingerprint)


class ImageTie(NamedTuple):
    """An image of a caption: its pseudonym where somebody tied them by hand, or its numbers."""

    instance: str | None
    series_number: int | None = None
    image_first: int | None = None
    image_last: int | None = None


class Desk:
    """Where reports become rows of the tables, one after the other."""

    def __init__(
        self,
        studies: StudyLookup,
        pseudonyms: Pseudonyms,
        ties: dict[tuple[str, str], set[ImageTie]],
        anatomy: tuple[Callable[[str], bool], Callable[[str], bool]],
        tally: Tally,
        options: CaptionsOptions,
    ) -> None:
        self.studies, self.pseudonyms, self.ties, self.anatomy, self.tally = studies, pseudonyms, ties, anatomy, tally
        self.options = options
        self.captions: list[dict[str, Any]] = []
        self.references: list[dict[str, Any]] = []
        self._reports: set[tuple[str, str | None]] = set()

    def take(self, report: Report) -> None:
        """Add the captions of a report, if it belongs to this shard."""
        study = self.studies.study_of(report)
        if (self.studies.shard_of[study] if study else WITHOUT_STUDY) != self.studies.shard:
            return
        sections = sections_of(report.text)
        sentences = [
            (section, sentence)
            for section, text in sections
            if section in ("findings", "impression")
            for sentence in sentences_of(text)
        ]
        self.tally.take(len(sentences))
        again = (report.report_id, study) in self._reports
        self._reports.add((report.report_id, study))
        if study is None:
            self._leave("no_study", sentences)
        elif study not in self.studies.with_images:
            self._leave("report_without_images", sentences)
        elif again:
            self._leave("duplicate_report", sentences)
        else:
            for section, _ in sections:
                self.tally.add("sections", section)
            self._write(report, study, dict_of_texts(sections), sentences)

    def _leave(self, reason: str, sentences: list[tuple[str, str]]) -> None:
        self.tally.put_aside(reason, len(sentences))
        self.tally.add("reports", reason)

    def _write(self, report: Report, study: str, texts: dict[str, str], sentences: list[tuple[str, str]]) -> None:
        language = report.language if report.language in LANGUAGES else detect_language(report.text)
        name = self.pseudonyms.report(f"{study}|{report.report_id}")
        known = self.studies.identifiers(study)
        shared = {
            "report": name,
            "study": study,
            "patient": self.studies.patient_of[study],
            "language": language,
            "indication": self._scrub(texts.get("indication", ""), known) or None,
            "question": self._scrub(texts.get("question", ""), known) or None,
            "translator": "source",
        }
        seen: set[str] = set()
        for position, (section, sentence) in enumerate(sentences):
            images, text = take_references(sentence, self.studies.series_of.get(study, ()))
            text, rewriter = cut_comparisons(text, language) if self.options.rewrite == "rules" else (text, "none")
            text = self._scrub(text, known)
            reason = "empty_after_scrub" if not _tells(text) else "duplicate_sentence" if text in seen else None
            if reason:
                self.tally.put_aside(reason)
                continue
            seen.add(text)
            tied = self.ties.get((report.report_id, _plain(sentence)), set())
            row = shared | {
                "caption": _id(name, position, language),
                "sentence": _id(name, position, ""),
                "section": section,
                "position": position,
                "text": text,
                "tie": "explicit" if tied else "reference" if images else "structure",
                "rewriter": rewriter,
            }
            self.captions.append(row)
            self._refer(row, tied, images)
        self.tally.add("reports", "used")

    def ask(self, models: Models, lexicon: Lexicon) -> None:
        """Let language models rewrite and translate the captions, as the options say. They see scrubbed text only."""
        rewritten, translated = [], []
        if self.options.rewrite == "llm":
            before = {caption["caption"]: caption["text"] for caption in self.captions}
            self.captions = rewrite_captions(self.captions, models, lexicon)
            self.tally.put_aside("only_comparison", len(before) - len(self.captions))
            rewritten = [(one["language"], before[one["caption"]], one["text"]) for one in self.captions]
        if self.options.translate == "llm":
            pairs = translate_captions(self.captions, models, lexicon)
            pairs = [
                (one, two | {"caption": _id(two["report"], two["position"], two["language"])}) for one, two in pairs
            ]
            translated = [(one["language"], one["text"], two["text"]) for one, two in pairs]
            twins = {one["caption"]: two["caption"] for one, two in pairs}
            self.captions += [two for _, two in pairs]
            self.references += [
                one | {"caption": twins[one["caption"]]} for one in self.references if one["caption"] in twins
            ]
            self.tally.add("translation", "translated", len(pairs))
            self.tally.add("translation", "failed", len(self.captions) - 2 * len(pairs))
        kept = {caption["caption"] for caption in self.captions}
        self.references = [one for one in self.references if one["caption"] in kept]
        if self.options.judge:
            judge_captions({"rewrite": rewritten, "translate": translated}, models, self.options.judge, self.tally)
        models.account(self.tally)

    def _scrub(self, text: str, known: Identifiers) -> str:
        clean, counts = scrub(" ".join(text.split()), known, *self.anatomy)
        for kind, number in counts.items():
            self.tally.add("scrubbed", kind, number)
        return clean

    def _refer(self, caption: dict[str, Any], tied: Iterable[ImageTie], images: Iterable[ImageReference]) -> None:
        ties = [*sorted(tied, key=str), *(ImageTie(None, *image) for image in images)]
        for one in ties:
            if one.instance is None:
                self.tally.add("references", self.studies.outcome(caption["study"], *one[1:]))
        self.references += [{"caption": caption["caption"], **one._asdict()} for one in ties]

    def count(self) -> None:
        """Count what was made; a sentence in two languages is used once."""
        self.tally.use(sum(row["translator"] == "source" for row in self.captions))
        self.tally.make("captions", len(self.captions))
        self.tally.make("references", len(self.references))
        for row in self.captions:
            for column in ("language", "section", "tie", "rewriter", "translator"):
                self.tally.add(column, row[column])


def dict_of_texts(sections: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The text of each section, joined where a section comes twice."""
    texts: dict[str, str] = {}
    for section, text in sections:
        texts[section] = f"{texts[section]} {text}" if section in texts else text
    return texts


def _read_ties(path: Path, studies: StudyLookup) -> dict[tuple[str, str], set[ImageTie]]:
    """Report and sentence to the images tied to it by hand, by instance or by numbers of series and image.

    Instances of no file are left out.
    """
    ties: dict[tuple[str, str], set[ImageTie]] = defaultdict(set)
    for number, row in enumerate(read_rows(path), start=2):
        missing = {"report_id", "sentence"} - set(row)
        if missing or not ("instance_uid" in row or {"series_number", "image_number"} <= set(row)):
            wanted = " and ".join(sorted(missing)) or "instance_uid, or series_number and image_number"
            raise ValueError(f"{path.name}: has no column {wanted}")
        tied = ties[row["report_id"], _plain(row["sentence"])]
        if uid := row.get("instance_uid"):
            tied |= {ImageTie(instance) for instance in studies.instances_of.get(uid, set())}
        elif row.get("series_number") or row.get("image_number"):
            try:
                image = int(row["image_number"])
                tied.add(ImageTie(None, int(row["series_number"]), image, image))
            except ValueError:
                raise ValueError(
                    f"{path.name}: line {number}: series_number and image_number must be numbers"
                ) from None
    return ties


def _plain(sentence: str) -> str:
    """A sentence without what people change when they copy it: white space and the last mark."""
    return " ".join(sentence.split()).rstrip(" .;")


def _tells(text: str) -> bool:
    """Some word is left beside the placeholders."""
    return re.search(r"[^\W\d_]{2,}", _PLACEHOLDER.sub("", text)) is not None


def _id(report: str, position: int, language: str) -> str:
    return digest_bytes(report.encode(), str(position).encode(), language.encode())[:DIGITS]
