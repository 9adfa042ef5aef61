"""Where images, sentences and labels of the dataset went: a private list, so that a removal can name the copies that others must delete."""

import json
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from refrad.core.private_files import only_for_the_owner

__all__ = ["LIST", "note_export", "noted_exports"]

LIST = "exports.jsonl"  # in the private folder


def note_export(private: Path, command: str, folder: Path, accepted: Sequence[str] = ()) -> None:
    """Add a folder to the list, which its owner alone can read.

    Args:
        private: the private folder, which exists.
        command: that has written the folder, such as "export".
        folder: that was written.
        accepted: public sets whose terms were accepted for it.
    """
    entry = {"date": date.today().isoformat(), "command": command, "folder": str(folder.resolve())}
    line = json.dumps(entry | ({"accepted_terms": list(accepted)} if accepted else {}))
    with only_for_the_owner():
        descriptor = os.open(private / LIST, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        # In one piece, as two commands may end at once, and on a line of its own, as a crash may have cut the last one.
        os.write(descriptor, f"\n{line}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def noted_exports(private: Path) -> dict[str, str]:
    """Each folder of the list to the command that has written it last, its day and the public sets whose terms were accepted.

    Lines that a crash has cut are left out.
    """
    exports: dict[str, str] = {}
    path = private / LIST
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
            exports[entry["folder"]] = f"{entry['command']}, {entry['date']}"
            if accepted := entry.get("accepted_terms"):
                exports[entry["folder"]] += f", terms of {', '.join(accepted)} accepted"
        except (ValueError, KeyError, TypeError):
            continue
    return exports
