"""The command `refrad forget`: remove a patient who has withdrawn from all that a run holds, and keep them out of later runs."""

import fcntl
import getpass
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from refrad.commands.recover import OLD, head_of, leftovers
from refrad.config import load_config
from refrad.core.files import atomic
from refrad.core.manifests import read_sealed, write_sealed
from refrad.core.private_files import UNFINISHED_REMOVAL, only_for_the_owner
from refrad.privacy.pseudonyms import Pseudonyms, read_or_create_key
from refrad.privacy.withdrawals import FOLDER, LIST, Withdrawals
from refrad.withdrawal.checkpoints import find_checkpoints
from refrad.withdrawal.identity import Identity, find_identity
from refrad.withdrawal.protocol import Protocol, lines_of, next_name, write_protocol
from refrad.withdrawal.removal import Places, RemovalPlan, apply_plan, plan_removal
from refrad.withdrawal.subject import Subject
from refrad.withdrawal.traces import Traces
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
) -> None:
    """Remove a patient who has withdrawn consent from all that this run holds, and keep the patient out of later runs.

    The archive and the reports stay. `private/forgotten` gets a protocol of what was removed and who must act.

    Args:
        patient: PatientID as in the headers. Without it and --from, it is asked for, so that it is in no history of the shell.
        config: the files given to Snakemake's --configfile; config.yaml alone where there are none.
        from_: a file with PatientIDs, one a line; - for standard input.
        dry_run: only say what would be removed.
        with_candidates: remove also those who may be the same person: with the same name and birth date, or with an id that
            differs in spelling only.
        checkpoints: delete the checkpoints that have seen the patient, so that the next run trains again.
        unnamed: remove also the volumes and label volumes in the stores that no table of this run names.

    Raises:
        ValueError: if no delivery has the patient, a workflow is running, or a file is damaged.
        FileNotFoundError: if there is no key.
    """
    site = Site(load_config(config or [Path("config.yaml")]))
    folder = Path(site.config.privacy.folder) / FOLDER
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
        if not identity.deliveries and not plan.tables:
            withdrawals = Withdrawals(folder / LIST, pseudonyms)
            if all(withdrawals.has("patient", patient_id) for patient_id in patient_ids):
                print("nothing to remove: the patient has been removed before")
                return
            raise ValueError(_unknown(identity))
        exposed = find_checkpoints(places.results, subject, places.records)
        if checkpoints:
            plan.deleted += exposed
        print("\n".join(_said(identity, plan, exposed, checkpoints, dry_run)))
        if dry_run:
            return
        record = {
            "identity": identity.to_json(),
            "subject": subject.to_json(),
            "plan": plan.to_json(),
            "checkpoints": {} if checkpoints else exposed,
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
    record: dict[str, Any] = read_sealed(folder / UNFINISHED)
    identity, subject = record["identity"], Subject.from_json(record["subject"])
    plan, places = RemovalPlan.from_json(record["plan"]), _places(site)
    Withdrawals(folder / LIST, pseudonyms).add(identity["identifiers"])
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
        left=left,
    )
    path = write_protocol(folder, record["name"], protocol)
    (folder / UNFINISHED).unlink()
    print("\n".join(_ended(path, left)))


def _patient_ids(patient: str | None, from_: str | None) -> list[str]:
    """The ids from the command line, a file, standard input, or a question on the terminal.

    Raises:
        ValueError: if there is none.
    """
    if from_ == STDIN:
        lines = sys.stdin.read().splitlines()
    elif from_ is not None:
        lines = Path(from_).read_text(encoding="utf-8-sig").splitlines()
    elif patient is None:
        lines = [getpass.getpass("PatientID (not shown): ")]
    else:
        lines = []
    names = [name.strip() for name in [patient or "", *lines]]
    if not any(names):
        raise ValueError("no PatientID: give one, or a file with one a line by --from, or - for standard input")
    return [name for name in names if name]


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


def _unknown(identity: Identity) -> str:
    if identity.candidates:
        return (
            f"no delivery has a patient of this id, but {len(identity.candidates)} ids differ from it in spelling only:"
            " give the id as the headers have it, or --with-candidates"
        )
    return "no delivery has a patient of this id: give it as the headers have it, digits padded as they are there"


def _said(
    identity: Identity, plan: RemovalPlan, exposed: Mapping[str, str], checkpoints: bool, dry_run: bool
) -> Iterator[str]:
    """What is removed, and what must be known before."""
    deliveries = ", ".join(identity.deliveries) or "none (from the tables alone)"
    yield f"{'would remove' if dry_run else 'removes'} {len(identity.patient_ids)} patients of deliveries {deliveries}:"
    yield from lines_of(plan.counts, plan.deleted)
    if identity.issuers > 1:
        yield f"the id comes from {identity.issuers} issuers: as they share a pseudonym, the patients of all are removed"
    if identity.candidates:
        yield (
            f"{len(identity.candidates)} other ids may be the same person (equal name and birth date, or another spelling of"
            " the id) and stay: --with-candidates removes them too"
        )
    if plan.foreign_copies:
        yield (
            f"{plan.foreign_copies} volumes of other patients are copies of volumes of this one: they stay left out of the"
            " dataset until stage copies runs again; if they are the same person's, forget that id too"
        )
    if plan.kept_entries:
        yield f"{plan.kept_entries} entries of the stores stay, as a table names them for another patient too"
    if plan.unnamed:
        yield (
            f"{plan.unnamed} entries of the stores are in no table of this run, and may be of anyone: --unnamed removes"
            " them, unless other runs share the stores"
        )
    for path, meaning in exposed.items():
        yield f"{path}: {'deleted' if checkpoints else meaning}"
    if exposed and not checkpoints:
        yield "no training runs by itself: --checkpoints deletes these, or start snakemake --forcerun train"


def _sweep(places: Places, stores: Path) -> None:
    """Remove half-written files, which may hold anything; in the stores only old ones, since another run may write there."""
    for path in leftovers([places.results, places.private]) + leftovers([stores], OLD):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _thin_lists(private: Path, paths: set[str], originals: set[str]) -> None:
    """Remove the patient's files from the lists of files for which the storage failed."""
    for path in sorted(private.glob("*/storage_errors*.txt")):
        lines = path.read_text(encoding="utf-8").splitlines()
        left = [line for line in lines if line not in paths and not any(name in line for name in originals)]
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
    delivered = [
        Path(path) for delivery in site.config.deliveries for path in (delivery.reports, delivery.references) if path
    ]
    without = [places.private / FOLDER, Path(site.key), *delivered, *map(Path, checkpoints)]
    return [str(path) for path in traces.search(folders, without)]


def _ended(protocol: Path, left: list[str]) -> Iterator[str]:
    if left:
        yield f"{len(left)} files still hold a trace of the patient: look at them, and delete them by hand:"
        yield from (f"  {path}" for path in left)
    else:
        yield "looked through private, results, stores and logs: nothing is left"
    yield f"protocol: {protocol}; it names who must act, for checkpoints, copies and backups"
    yield "now run snakemake: it makes the card and the pages again"
