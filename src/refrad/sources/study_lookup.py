"""Studies of a delivery by its tables: the study of a report, and the images of a study."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import polars as pl

from refrad.privacy.choice_lists import LEFT_OUT
from refrad.privacy.known_identifiers import Identifiers, collect_identifiers
from refrad.sources.reports import Report
from refrad.sources.study_ids import StudyIds

__all__ = ["StudyLookup"]

ENDINGS = r"(?i)\.nii(\.gz)?$"  # of files that are a volume each
IDENTIFYING = ("patient_id", "patient_name", "birth_date", "accession_number", "study_uid", "names", "institution")


class StudyLookup:
    """The studies of a delivery: identifiers of all of them, images of one shard."""

    def __init__(self, files: pl.LazyFrame, instances: pl.LazyFrame, shard: int) -> None:
        """Reads identifiers of the whole delivery, but rows of single images of this shard only."""
        self.shard = shard
        assigned = instances.filter(pl.col("study").is_not_null())
        studies = assigned.select("study", "shard", "patient").unique().sort("study", "patient").collect()
        self.shard_of = dict(studies.select("study", "shard").iter_rows())
        self.patient_of = dict(studies.select("study", "patient").iter_rows())
        identified = files.filter(pl.col("study").is_not_null())
        studies_of = {
            name: _sets(identified.filter(pl.col(name) != "").select(name, "study").unique().collect().iter_rows())
            for name in ("study_uid", "accession_number", "patient_id")
        }
        path = pl.col("path").str.normalize("NFC")  # as the cells of reports are
        folders = identified.select(path.str.replace(r"/?[^/]*$", ""), "study").unique().collect()
        volumes = identified.filter(pl.col("path").str.contains(ENDINGS)).select(path, "study").collect()
        self.ids = StudyIds(studies_of, [*folders.iter_rows(), *volumes.iter_rows()], has_keys=not volumes.is_empty())
        own = assigned.filter(pl.col("shard") == shard).collect()
        own_files = identified.filter(pl.col("shard") == shard).collect()
        used = own.filter(pl.col("volume").is_not_null())
        self.with_images = set(used["study"])
        reasons = _sets(own.filter(pl.col("reason").is_in(LEFT_OUT)).select("study", "reason").unique().iter_rows())
        self._left_out: dict[str, str] = {study: min(names, key=LEFT_OUT.index) for study, names in reasons.items()}
        self.series_of = _sets(used.select("study", "series_number").drop_nulls().unique().iter_rows())
        uids = own_files.filter(pl.col("instance_uid") != "").select("file", "instance_uid")
        named = uids.join(own.filter(pl.col("instance").is_not_null()), on="file")
        self.instances_of = _sets(named.select("instance_uid", "instance").iter_rows())
        self._headers = _headers(files, list(own["study"].unique()))
        self._identifiers: dict[str, Identifiers] = {}
        columns = ("study", "series_number", "instance_number", "slices", "volume")
        self._images: dict[str, list[tuple[int | None, range, str]]] = defaultdict(list)
        for name, series_number, instance_number, slices, volume in used.select(columns).iter_rows():
            self._images[name].append((series_number, _numbers(instance_number, slices), volume))

    def study_of(self, report: Report) -> str | None:
        """The study of a report: by study UID, accession number, patient, or folder; None unless it is exactly one."""
        return self.ids.match(report)[0]

    def why_no_study(self, report: Report) -> str:
        """The reason why a report finds no study."""
        return self.ids.match(report)[1]

    def why_no_images(self, study: str) -> str:
        """The reason why a study of this shard has no images: the site left them out, or none became a volume."""
        return self._left_out.get(study, "report_without_images")

    def identifiers(self, study: str) -> Identifiers:
        """The identifiers in the headers of a study of this shard, and in those of all its patients."""
        if study not in self._identifiers:
            own = self._headers.filter(pl.col("study") == study)
            rows = self._headers.filter(pl.col("patient").is_in(own["patient"].unique().to_list()))
            self._identifiers[study] = collect_identifiers(pl.concat([own, rows]).iter_rows(named=True))
        return self._identifiers[study]

    def outcome(
        self, study: str, series: int | None, first: int | None, last: int | None, plane: str | None = None
    ) -> str:
        """Whether a reference by numbers leads to one volume of the study: found, ambiguous or not found.

        Planes are known once the volumes are: until then several volumes with the number are "by plane" if it says one.
        """
        volumes = {
            volume
            for series_number, numbers, volume in self._images.get(study, ())
            if series in (None, series_number)
            and (first is None or (numbers.start <= (last or first) and first < numbers.stop))
        }
        if len(volumes) > 1:
            return "by plane" if plane else "ambiguous"
        return "found" if volumes else "not found"


def _numbers(instance_number: int | None, slices: int) -> range:
    """The image numbers of a row: of one image its own; of a volume with numbered slices those from 1, at whichever end that is."""
    if instance_number is None:
        return range(0)
    return range(instance_number, instance_number + 1) if slices == 1 else range(1, slices + 1)


def _headers(files: pl.LazyFrame, studies: list[str]) -> pl.DataFrame:
    """The identifying fields of all files of these studies and of their patients."""
    own = files.filter(pl.col("study").is_in(studies))
    patients = own.select("patient").drop_nulls().unique().collect()["patient"].to_list()
    rows = files.filter(pl.col("study").is_in(studies) | pl.col("patient").is_in(patients))
    return rows.select("study", "patient", *IDENTIFYING).unique().collect()


def _sets(pairs: Iterable[tuple[Any, ...]]) -> dict[Any, set[Any]]:
    sets: dict[Any, set[Any]] = defaultdict(set)
    for name, value in pairs:
        sets[name].add(value)
    return dict(sets)
