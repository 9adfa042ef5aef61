"""Conversations as LLaMA-Factory reads them: sharegpt with a list of images, and dataset_info.json, which names the data sets.

Source: hiyouga/LLaMA-Factory, data/README. The unit of boxes belongs to the model, so each split is there twice, with the same
pictures: `refrad_<split>_qwen2_5_vl` in pixels, and `refrad_<split>_qwen3_vl` in thousandths. Train with one of them.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from refrad.core.files import write_json
from refrad.dataset.exports.chat import Conversation, conversations, turns_of
from refrad.dataset.exports.dialects import QWEN2_5, QWEN3, Dialect
from refrad.dataset.exports.image_files import json_list
from refrad.dataset.exports.source import ExportSource, FileNames

__all__ = ["export"]

DIALECTS = {"qwen2_5_vl": QWEN2_5, "qwen3_vl": QWEN3}


def export(source: ExportSource, out: Path) -> None:
    """Write `<split>_<model>.json`, `dataset_info.json` and `images/<split>/*.png`; paths are relative to the folder."""
    names = FileNames()
    for split in source.splits:
        with ExitStack() as stack:
            lists = {model: stack.enter_context(json_list(out / f"{split}_{model}.json")) for model in DIALECTS}
            for conversation in conversations(source, split, out, names, QWEN2_5.multiple):
                for model, dialect in DIALECTS.items():
                    lists[model](_record(conversation, dialect))
    write_json(out / "dataset_info.json", dict(_entries(source)))


def _record(conversation: Conversation, dialect: Dialect) -> dict[str, Any]:
    return {"conversations": turns_of(conversation, dialect), "images": [conversation.image]}


def _entries(source: ExportSource) -> Iterator[tuple[str, dict[str, Any]]]:
    """The descriptions of the data sets."""
    for split in source.splits:
        for model in DIALECTS:
            yield (
                f"refrad_{split}_{model}",
                {
                    "file_name": f"{split}_{model}.json",
                    "formatting": "sharegpt",
                    "columns": {"messages": "conversations", "images": "images"},
                    "tags": {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"},
                },
            )
