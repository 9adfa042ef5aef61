"""Take the sentences out of the reports: de-identified, without comparisons, tied to the images they name."""

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from refrad.anatomy.lexicon import LANGUAGES, Lexicon, load_lexicon
from refrad.config import CaptionsOptions
from refrad.files import digest_bytes
from refrad.fingerprint import Fingerprint
from refrad.language.matching import is_anatomy
from refrad.language.references import ImageReference, take_references
from refrad.language.reports import Report, detect_language, read_csv, read_reports, sections_of
from refrad.language.rewording import judge_captions, rewrite_captions, translate_captions
from refrad.language.rewriting import cut_comparisons
from refrad.language.sentences import sentences_of
from refrad.llm import Models, open_models
from refrad.privacy.pseudonyms import FileTable, Pseudonyms, read_or_create_key
from refrad.privacy.text import PLACEHOLDERS, Identifiers, identifiers_of, scrub
from refrad.tables import CaptionTable, InstanceTable, ReferenceTable, frame_of, read_table, write_table
from refrad.tally import Tally

__all__ = ["VERSION", "run"]

log = logging.getLogger(__name__)

VERSION = 1

WITHOUT_STUDY = 0  # the shard that counts the reports whose study is not in the delivery
DIGITS = 16  # of the ids of captions and sentences
IDENTIFYING = ("patient_id", "patient_name", "birth_date", "accession_number", "study_uid", "names", "institution")

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
    archive = Archive(read_table(files, FileTable), read_table(instances, InstanceTable), shard)
    ties = _read_ties(references, archive) if references else {}
    words = load_lexicon(lexicon)
    anatomy = partial(is_anatomy, lexicon=words)
    desk = Desk(archive, Pseudonyms(read_or_create_key(key)), ties, anatomy, tally, options)
    for report in read_reports(reports):
        desk.take(report)
    with open_models(llm) as models:
        desk.ask(models, words)
    desk.count()
    log.info("captions: %d sentences, %d captions", tally.taken, len(desk.captions))
    write_table(captions, frame_of(desk.captions, CaptionTable), CaptionTable, fingerprint)
    write_table(image_references, frame_of(desk.references, ReferenceTable), ReferenceTable, fingerprint)
    tally.write(metrics, fingerprint)


class Archive:
    """What the tables of a delivery tell about its studies, seen from one shard."""

    def __init__(self, files: pl.DataFrame, instances: pl.DataFrame, shard: int) -> None:
        self.shard = shard
        known = instances.filter(pl.col("study").is_not_null())
        self.shard_of = dict(known.select("study", "shard").unique().iter_rows())
        self.patient_of = dict(known.select("study", "patient").unique().iter_rows())
        used = known.filter(pl.col("volume").is_not_null())
        self.with_images = set(used["study"])
        self.series_of = _sets(used.select("study", "series_number").drop_nulls().unique().iter_rows())
        uids = files.filter(pl.col("instance_uid") != "").select("file", "instance_uid")
        named = uids.join(instances.filter(pl.col("instance").is_not_null()), on="file")
        self.instances_of = _sets(named.select("instance_uid", "instance").iter_rows())
        self._files = files.filter(pl.col("study").is_in(known["study"].unique().to_list()))
        self._studies = {
            name: _sets(self._files.filter(pl.col(name) != "").select(name, "study").unique().iter_rows())
            for name in ("study_uid", "accession_number", "patient_id")
        }
        self._places = self._files.select(pl.col("path").str.replace(r"/?[^/]*$", ""), "study").unique().rows()
        self._identifiers: dict[str, Identifiers] = {}

    def study_of(self, report: Report) -> str | None:
        """The study of a report: by study UID, accession number, patient, or folder; None unless it is exactly one."""
        for name, studies in self._studies.items():
            found = studies.get(getattr(report, name), set())
            if len(found) == 1:
                return str(*found)
        if not report.dicom:
            return None
        folder = report.dicom.strip("/.")
        found = {study for path, study in self._places if not folder or f"{path}/".startswith(f"{folder}/")}
        return str(*found) if len(found) == 1 else None

    def identifiers(self, study: str) -> Identifiers:
        """All that the headers tell about the patient of a study."""
        patient = self.patient_of[study]
        if patient not in self._identifiers:
            rows = self._files.filter(pl.col("patient") == patient).select(IDENTIFYING).unique()
            self._identifiers[patient] = identifiers_of(rows.iter_rows(named=True))
        return self._identifiers[patient]


class Desk:
    """Where reports become rows of the tables, one after the other."""

    def __init__(
        self,
        archive: Archive,
        pseudonyms: Pseudonyms,
        ties: dict[tuple[str, str], set[str]],
        anatomy: Callable[[str], bool],
        tally: Tally,
        options: CaptionsOptions,
    ) -> None:
        self.archive, self.pseudonyms, self.ties, self.anatomy, self.tally = archive, pseudonyms, ties, anatomy, tally
        self.options = options
        self.captions: list[dict[str, Any]] = []
        self.references: list[dict[str, Any]] = []
        self._reports: set[tuple[str, str | None]] = set()

    def take(self, report: Report) -> None:
        """Add the captions of a report, if it belongs to this shard."""
        study = self.archive.study_of(report)
        if (self.archive.shard_of[study] if study else WITHOUT_STUDY) != self.archive.shard:
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
        elif study not in self.archive.with_images:
            self._leave("report_without_images", sentences)
        elif again:
            self._leave("duplicate_report", sentences)
        else:
            self._write(report, study, dict_of_texts(sections), sentences)

    def _leave(self, reason: str, sentences: list[tuple[str, str]]) -> None:
        self.tally.put_aside(reason, len(sentences))
        self.tally.add("reports", reason)

    def _write(self, report: Report, study: str, texts: dict[str, str], sentences: list[tuple[str, str]]) -> None:
        language = report.language if report.language in LANGUAGES else detect_language(report.text)
        name = self.pseudonyms.report(f"{study}|{report.report_id}")
        known = self.archive.identifiers(study)
        shared = {
            "report": name,
            "study": study,
            "patient": self.archive.patient_of[study],
            "language": language,
            "indication": self._scrub(texts.get("indication", ""), known) or None,
            "question": self._scrub(texts.get("question", ""), known) or None,
            "translator": "source",
        }
        seen: set[str] = set()
        for position, (section, sentence) in enumerate(sentences):
            images, text = take_references(sentence, self.archive.series_of.get(study, ()))
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
            self._refer(row["caption"], tied, images)
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
        clean, counts = scrub(" ".join(text.split()), known, self.anatomy)
        for kind, number in counts.items():
            self.tally.add("scrubbed", kind, number)
        return clean

    def _refer(self, caption: str, tied: Iterable[str], images: Iterable[ImageReference]) -> None:
        rows = [{"caption": caption, "instance": instance} for instance in sorted(tied)]
        rows += [{"caption": caption, **image._asdict()} for image in images]
        self.references += rows

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


def _read_ties(path: Path, archive: Archive) -> dict[tuple[str, str], set[str]]:
    """Report and sentence to the pseudonyms of the images tied to it by hand; images of no file are left out."""
    rows = read_csv(path)
    missing = {"report_id", "sentence", "instance_uid"} - set(rows[0]) if rows else set()
    if missing:
        raise ValueError(f"{path.name}: has no column {' and '.join(sorted(missing))}")
    ties: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        ties[row["report_id"], _plain(row["sentence"])] |= archive.instances_of.get(row["instance_uid"], set())
    return ties


def _plain(sentence: str) -> str:
    """A sentence without what people change when they copy it: white space and the last mark."""
    return " ".join(sentence.split()).rstrip(" .;")


def _tells(text: str) -> bool:
    """Some word is left beside the placeholders."""
    return re.search(r"[^\W\d_]{2,}", _PLACEHOLDER.sub("", text)) is not None


def _id(report: str, position: int, language: str) -> str:
    return digest_bytes(report.encode(), str(position).encode(), language.encode())[:DIGITS]


def _sets(pairs: Iterable[tuple[Any, ...]]) -> dict[Any, set[Any]]:
    found: dict[Any, set[Any]] = defaultdict(set)
    for name, value in pairs:
        found[name].add(value)
    return dict(found)
