"""Conversations as LLaVA-1.5 and the trainer of Qwen-VL read them: a JSON list of {id, image, conversations} a split.

LLaVA-1.5: haotian-liu/LLaVA, docs/Finetune_Custom_Data. Qwen-VL: QwenLM/Qwen3-VL, qwen-vl-finetune/README.
"""

from functools import partial
from pathlib import Path

from refrad.dataset.exports.chat import conversations, turns_of
from refrad.dataset.exports.dialects import LLAVA, QWEN2_5, QWEN3, Dialect
from refrad.dataset.exports.image_files import write_json_list
from refrad.dataset.exports.source import ExportSource, FileNames

__all__ = ["export", "export_qwen2_5", "export_qwen3"]


def _export(source: ExportSource, out: Path, dialect: Dialect) -> None:
    """Write `<split>.json` and `images/<split>/*.png`."""
    names = FileNames()
    for split in source.splits:
        records = (
            {
                "id": conversation.id,
                "image": conversation.image,
                "conversations": turns_of(conversation, dialect),
            }
            for conversation in conversations(source, split, out, names, dialect.multiple)
        )
        write_json_list(out / f"{split}.json", records)


export = partial(_export, dialect=LLAVA)
export_qwen2_5 = partial(_export, dialect=QWEN2_5)
export_qwen3 = partial(_export, dialect=QWEN3)
