"""What a removal does, in lines for the terminal. None shows an original identifier."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from refrad.withdrawal.identity import Identity
from refrad.withdrawal.protocol import lines_of
from refrad.withdrawal.removal import RemovalPlan

__all__ = ["absent_line", "end_lines", "removal_lines"]

SHOWN = 10  # ids of a list that a message names


def absent_line(identity: Identity, given: Sequence[str], absent: Sequence[str]) -> str:
    """A message about ids that are nowhere; those of a list by their number."""
    spelling = "give it as the headers have it, digits padded as they are there"
    advance = "or keep it out of later deliveries with --in-advance"
    if len(given) > 1:
        numbers = [str(number) for number, name in enumerate(given, 1) if name in set(absent)]
        more = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
        return (
            f"no delivery has a patient of id {', '.join(numbers[:SHOWN])}{more} of {len(given)}, counted without empty lines:"
            f" {spelling}, {advance}; nothing was removed"
        )
    if identity.candidates:
        return (
            f"no delivery has a patient of this id, but {len(identity.candidates)} ids differ from it in spelling only:"
            " give the id as the headers have it, or --with-candidates"
        )
    return f"no delivery has a patient of this id: {spelling}, {advance}"


def removal_lines(
    identity: Identity,
    plan: RemovalPlan,
    absent: Sequence[str],
    exports: Mapping[str, str],
    exposed: Mapping[str, str],
    checkpoints: bool,
    dry_run: bool,
) -> Iterator[str]:
    """What is removed, and what must be known before."""
    deliveries = ", ".join(identity.deliveries) or "none (from the tables alone)"
    number = len(identity.patient_ids) - len(absent)
    patients = f"{number} patients of deliveries {deliveries}" if number else "nobody"
    yield f"{'would remove' if dry_run else 'removes'} {patients}:"
    yield from lines_of(plan.counts, plan.deleted)
    if identity.issuers > 1:
        yield f"the id comes from {identity.issuers} issuers: as they share a pseudonym, the patients of all are removed"
    if identity.candidates:
        count = len(identity.candidates)
        yield (
            f"{count} other {'id' if count == 1 else 'ids'} may be the same person (equal name and birth date, another spelling of the id,"
            " or images in the same study) and stay: --with-candidates removes them too"
        )
    if absent:
        yield f"{len(absent)} ids are in no delivery: the list of withdrawals keeps them out of later ones"
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
    for path, origin in exports.items():
        yield f"{path} ({origin}){'' if Path(path).exists() else ', no longer there'}: delete it by hand, and recall its copies"
    for path, meaning in exposed.items():
        yield f"{path}: {'deleted' if checkpoints else meaning}"
    if exposed and not checkpoints:
        yield "no training runs by itself: --checkpoints deletes these, or start snakemake --forcerun train"


def end_lines(protocol: Path, left: Sequence[str]) -> Iterator[str]:
    """What is left after a removal, and what to do next.

    Args:
        protocol: the file with the protocol.
        left: files that still hold a trace of the patient.
    """
    if left:
        yield f"{len(left)} files still hold a trace of the patient: look at them, and delete them by hand:"
        yield from (f"  {path}" for path in left)
    else:
        yield "looked through private, results, stores and logs: nothing is left"
    yield f"protocol: {protocol}; it names who must act, for checkpoints, copies and backups"
    yield "now run snakemake: it makes the card and the pages again"
