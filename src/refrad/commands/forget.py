"""The command `refrad forget`: remove a patient who has withdrawn from all that a run holds, and keep them out of later runs."""

import fcntl
import getpass
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from refrad.commands.recover import OLD, head_of, leftovers
from refrad.config import load_config
from refrad.core.checksums import TableError
from refrad.core.files import atomic
from refrad.core.manifests import read_sealed, write_sealed
from refrad.core.noted_exports import noted_exports
from refrad.core.private_files import REMOVALS, UNFINISHED_REMOVAL, only_for_the_owner
from refrad.formats.charsets import charset_of, errors_of
from refrad.privacy.pseudonyms import Pseudonyms, read_or_create_key
from refrad.privacy.withdrawals import LIST, Withdrawals
from refrad.review.erased_rejections import keep_digests, rejections_of_patients
from refrad.review.site_review import verdicts_file
from refrad.withdrawal.checkpoints import find_checkpoints
from refrad.withdrawal.identity import find_identity
from refrad.withdrawal.protocol import Protocol, next_name, write_protocol
from refrad.withdrawal.removal import Places, RemovalPlan, apply_plan, plan_removal
from refrad.withdrawal.removal_words import absent_line, end_lines, removal_lines
from refrad.withdrawal.subject import Subject, collect_subject, tables_of
from refrad.withdrawal.traces import Traces, is_named
from refrad.workflow.site import Site

__all__ = ["main"]

LOCK = "lock"
UNFINISHED = Path(UNFINISHED_REMOVAL).name
STDIN = "-"


def main(
    patient: str | None = None,
    *,
    config: list[Path] | None = None,
    from_: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,  # for "-"
    dry_run: bool = False,
    with_candidates: bool = False,
    checkpoints: bool = False,
    unnamed: bool = False,
    in_advance: bool = False,
) -> None:
    """Remove a patient who has withdrawn consent from all that this run holds, and keep the patient out of later runs.

    The archive and the reports stay. `private/forgotten` gets a protocol of what was removed and who must act.

    Args:
        patient: PatientID as in the headers; of a patient without one, a StudyInstanceUID. Without it and --from, it is asked for,
            so that it is in no history of the shell.
        config: the files given to Snakemake's --configfile; config.yaml alone where there are none.
        from_: a file with PatientIDs, one a line; - for standard input.
        dry_run: only say what would be removed.
        with_candidates: remove also those who may be the same person: with the same name and birth date, or with an id that
            differs in spelling only.
        checkpoints: delete the checkpoints that have seen the patient, so that the next run trains again.
        unnamed: remove also the volumes and label volumes in the stores that no table of this run names.
        in_advance: keep out also ids that no delivery has yet, such as those of reports without images.

    Raises:
        ValueError: if no delivery has a patient, a workflow is running, or a file is damaged.
        FileNotFoundError: if there is no key.
    """
    site = Site(load_config(config or [Path("config.yaml")]), downloads=False)
    folder = Path(site.config.privacy.folder) / REMOVALS
    key = Path(site.key)
    if not key.exists():
        raise FileNotFoundError(f"privacy.key: there is no {key}, and without it no patient can be found")
    _refuse_running(Path.cwd())
    pseudonyms = Pseudonyms(read_or_create_key(key))
    with _alone(folder):
        if (folder / UNFINISHED).exists():
            print("ends a removal that was cut off")
            _finish(site, folder, pseudonyms)
            if patient is None and from_ is None:
                return
        patient_ids = _patient_ids(patient, from_)
        identity = find_identity(patient_ids, folder.parent, pseudonyms, with_candidates)
        places = _places(site)
        subject = Subject({"patient": identity.patients, "study": identity.studies, "file": identity.files})
        plan = plan_removal(places, subject, site.config.train.name, unnamed)
        withdrawals = Withdrawals(folder / LIST, pseudonyms)
        unknown = [
            name
            for name in identity.unknown
            if not withdrawals.has("patient", name) and not withdrawals.has("study", name)
        ]
        absent = _absent(unknown, places, pseudonyms) if plan.tables else unknown
        if absent and not in_advance:
            raise ValueError(absent_line(identity, patient_ids, absent))
        if not identity.deliveries and not plan.tables and not unknown:
            print("nothing to remove: the patient has been removed before")
            return
        exports = _exports(places) if plan.tables else {}
        exposed = find_checkpoints(places.results, subject, places.records)
        if checkpoints:
            plan.deleted += exposed
        print("\n".join(removal_lines(identity, plan, absent, exports, exposed, checkpoints, dry_run)))
        if dry_run:
            return
        record = {
            "identity": identity.to_json(),
            "subject": subject.to_json(),
            "plan": plan.to_json(),
            "checkpoints": {} if checkpoints else exposed,
            "exports": [f"{path} ({origin})" for path, origin in exports.items()],
            "rejections": rejections_of_patients(
                verdicts_file(folder.parent),
                subject.of("patient"),
                {delivery.shards for delivery in site.deliveries.values()},
            ),
            "name": next_name(folder),
        }
        with only_for_the_owner():
            write_sealed(folder / UNFINISHED, record)
        try:  # once more: from here on, no workflow starts
            _refuse_running(Path.cwd())
        except ValueError:
            (folder / UNFINISHED).unlink()
            raise
        _finish(site, folder, pseudonyms)


def _finish(site: Site, folder: Path, pseudonyms: Pseudonyms) -> None:
    """Do, or end, the removal that `unfinished.json` describes; then look for what is left, and write the protocol."""
    try:
        record: dict[str, Any] = read_sealed(folder / UNFINISHED)
    except TableError:
        raise TableError(f"{folder / UNFINISHED} is damaged: delete it, and give the PatientID again") from None
    identity, subject = record["identity"], Subject.from_json(record["subject"])
    plan, places = RemovalPlan.from_json(record["plan"]), _places(site)
    Withdrawals(folder / LIST, pseudonyms).add(identity["identifiers"])
    keep_digests(places.private, record["rejections"])
    _sweep(places, Path(site.config.stores))
    apply_plan(plan, places, subject, record["name"])
    _thin_lists(places.private, set(identity["paths"]), set(identity["originals"]))
    left = _left(site, places, subject, identity, record["checkpoints"])
    protocol = Protocol(
        identity["patients"],
        record["name"].rsplit("-", 1)[0],
        identity["deliveries"],
        plan.counts,
        plan.deleted,
        record["checkpoints"],
        record["exports"],
        left,
    )
    path = write_protocol(folder, record["name"], protocol)
    (folder / UNFINISHED).unlink()
    print("\n".join(end_lines(path, left)))


def _patient_ids(patient: str | None, from_: str | None) -> list[str]:
    """The ids from the command line, a file, standard input, or a question on the terminal.

    Raises:
        ValueError: if there is none.
    """
    if from_ == STDIN:
        lines = sys.stdin.read().splitlines()
    elif from_ is not None:
        lines = _lines_of_file(Path(from_))
    elif patient is None:
        lines = [getpass.getpass("PatientID (not shown): ")]
    else:
        lines = []
    names = [name.strip() for name in [patient or "", *lines]]
    if not any(names):
        raise ValueError("no PatientID: give one, or a file with one a line by --from, or - for standard input")
    return [name for name in names if name]


def _lines_of_file(path: Path) -> list[str]:
    if not path.is_file():
        raise ValueError(f"--from: no such file: {path}")
    charset = charset_of(path)
    return path.read_text(encoding=charset, errors=errors_of(charset)).splitlines()


def _refuse_running(folder: Path) -> None:
    locks = folder / ".snakemake" / "locks"
    if head_of(folder) or (locks.is_dir() and any(locks.iterdir())):
        raise ValueError(
            "a workflow runs in this folder, or has died (then `refrad recover` unlocks it): start again after it"
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other call of this command meanwhile.

    Raises:
        ValueError: if there is one.
    """
    with only_for_the_owner():
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError("another `refrad forget` is at work here: start again after it") from None
        yield
    finally:
        os.close(descriptor)


def _places(site: Site) -> Places:
    return Places(
        results=Path(site.folder("results")),
        former=Path(site.former),
        private=Path(site.config.privacy.folder),
        volumes=Path(site.store("volumes")),
        masks=Path(site.store("masks")),
        llm=Path(site.store("llm")),
        answers=Path(site.store("answers")),
        records=Path(".snakemake/metadata"),
    )


def _exports(places: Places) -> dict[str, str]:
    """Folders outside of the results into which commands wrote images or sentences: those in the results are removed or searched."""
    results = places.results.resolve()
    noted = noted_exports(places.private)
    return {path: origin for path, origin in noted.items() if not Path(path).is_relative_to(results)}


def _absent(unknown: Sequence[str], places: Places, pseudonyms: Pseudonyms) -> list[str]:
    """The ids that are in no table either, of those that no private table has."""
    tables = tables_of(places.results, places.private) if unknown else []
    shards = places.results / "shards"
    return [
        name
        for name in unknown
        if not collect_subject(Subject({"patient": {pseudonyms.patient(name)}}), tables, shards, places.former)
    ]


def _sweep(places: Places, stores: Path) -> None:
    """Remove half-written files, which may hold anything; in the stores only old ones, since another run may write there."""
    for path in leftovers([places.results, places.private]) + leftovers([stores], OLD):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _thin_lists(private: Path, paths: set[str], originals: set[str]) -> None:
    """Remove the patient's files from the lists of files for which the storage failed."""
    for path in sorted(private.glob("*/storage_errors*.txt")):
        lines = path.read_text(encoding="utf-8").splitlines()
        names = [name.encode() for name in originals]
        left = [line for line in lines if line not in paths and not any(is_named(n, line.encode()) for n in names)]
        if len(left) < len(lines):
            with only_for_the_owner(), atomic(path) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in left), encoding="utf-8")


def _left(
    site: Site, places: Places, subject: Subject, identity: Mapping[str, Any], checkpoints: Mapping[str, str]
) -> list[str]:
    """The files of the run that still hold a trace of the patient."""
    traces = Traces(subject.pseudonyms, set(identity["originals"]), subject.texts)
    folders = [
        places.private,
        places.results,
        Path(site.config.stores),
        Path(site.folder("logs")),
        Path(".snakemake/log"),
    ]
    delivered = [Path(path) for delivery in site.config.deliveries for path in delivery.tables if path]
    without = [places.private / REMOVALS, Path(site.key), *delivered, *map(Path, checkpoints)]
    return [str(path) for path in traces.search(folders, without)]
