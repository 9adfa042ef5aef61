"""Conversations as the trainer of InternVL reads them: JSON lines a split, and a meta file that names them.

Source: internvl.readthedocs.io, get_started/chat_data_format. `data_augment` is false: pictures of the body must not be mirrored.
"""

from pathlib import Path

from refrad.core.files import write_json
from refrad.dataset.exports.chat import conversations, turns_of, write_json_lines
from refrad.dataset.exports.dialects import INTERNVL
from refrad.dataset.exports.source import ExportSource, FileNames

__all__ = ["export"]

TILES = 12  # of a picture at most, as in the documentation's own meta file


def export(source: ExportSource, out: Path) -> None:
    """Write `<split>.jsonl`, `meta_<split>.json` with absolute paths, and `images/<split>/*.png`."""
    names = FileNames()
    for split in source.splits:
        records = (
            {
                "id": conversation.id,
                "image": conversation.image,
                "width": conversation.size[0],
                "height": conversation.size[1],
                "conversations": turns_of(conversation, INTERNVL),
            }
            for conversation in conversations(source, split, out, names, INTERNVL.multiple)
        )
        count = write_json_lines(out / f"{split}.jsonl", records)
        meta = {
            "root": f"{source.folder}/",
            "annotation": str(source.folder / f"{split}.jsonl"),
            "data_augment": False,
            "max_dynamic_patch": TILES,
            "repeat_time": 1,
            "length": count,
        }
        write_json(out / f"meta_{split}.json", {f"refrad_{split}": meta})
