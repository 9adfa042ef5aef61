"""Loading of training samples: rows in a file, as stage train reads them, compared with all rows in memory.

    .venv/bin/python benchmarks/loading.py [rows, 3000 if not given] [--stored-only]

Rows are made up, of the size of real ones: a picture of 224 px of about 55 KB, 20 structures with masks, two captions and eight
questions. Both sides make the same samples in the same random order, with augmentation; samples per CPU second, and memory of the
process that does not belong to files (RssAnon) for each row. With --stored-only, for many rows, nothing is held in memory.
"""

import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from refrad.anatomy.schema import load_schema
from refrad.config import AugmentOptions
from refrad.dataset.example_rows import ExampleRows, TableRows
from refrad.dataset.examples import read_image_table
from refrad.dataset.image_codec import encode_mask, encode_pixels
from refrad.dataset.shard_io import write_shard
from refrad.training.dataloader import batch_order
from refrad.training.samples import SampleOptions, Samples, surface_forms
from refrad.training.stored_rows import own_parts, store_rows
from refrad.workflow.fingerprint import Fingerprint

SCHEMA = load_schema(Path(__file__).parents[1] / "workflow" / "anatomy" / "classes.yaml")
AUGMENT = AugmentOptions(
    scale=[0.9, 1.1],
    stretch=1.06,
    rotation=0,
    gamma=[0.8, 1.25],
    gamma_probability=1.0,
    contrast=[1.0, 1.0],
    brightness=0.05,
    brightness_probability=1.0,
    min_box_share=0.5,
)
SHARES = {"locate": 0.2, "detect": 0.3, "vqa": 0.2, "caption": 0.3}
SIDE, STRUCTURES, SHARD = 224, 20, 5000
TIMED = 2000  # samples
AT_LEAST = 0.95  # of the samples a second of the rows in memory: the same but for noise


def made_up_rows(count: int) -> Iterator[dict[str, Any]]:
    """Rows with one of 40 pictures each; texts and boxes vary."""
    rng = np.random.default_rng(0)
    # Noise of 6 grey levels in 3 channels compresses to about 55 KB.
    pictures = [encode_pixels(rng.integers(100, 106, (3, SIDE, SIDE), dtype=np.uint8)) for _ in range(40)]
    masks = []
    for _ in range(STRUCTURES):
        mask = np.zeros((512, 512), bool)
        widths = 60 + rng.integers(-8, 8, 100).cumsum().clip(-40, 40)  # an outline as ragged as that of an organ
        for y, width in enumerate(widths.tolist()):
            mask[200 + y, 250 - width : 250 + width] = True
        masks.append(encode_mask(mask))
    boxes = [{"x_min": n, "y_min": 10 + n, "x_max": 200 + n, "y_max": 210 + n} for n in range(STRUCTURES)]
    question = {"language": "en", "topic": "side", "kind": "open", "question": "Which organ is on the left?"}
    question |= {"choices": ["the liver", "the spleen", "none"], "answer": "the liver", "backend": "templates"}
    for number in range(count):
        text = "Liver and spleen are normal. " + "No change since the last examination. " * int(rng.integers(4))
        spans = [("Liver", 5, 0), ("spleen", 1, 10)]
        entities = [
            boxes[class_id]
            | {"start": start, "end": start + len(name), "text": name}
            | {"class_id": class_id, "via": "exact", "one_sided": False}
            for name, class_id, start in spans
        ]
        caption = {
            "caption": f"c{number}",
            "sentence": f"s{number}",
            "language": "en",
            "text": text,
            "tie": "structure",
        }
        caption |= {"indication": "pain in the upper abdomen", "question": "stone?", "entities": entities}
        yield {
            "image_id": hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest(),  # in no order
            "volume": f"v{number // 10}",
            "study": f"s{number // 10}",
            "patient": f"p{number // 50}",
            "split": "train",
            "modality": "CT",
            "plane": "axial",
            "index": number,
            "width": 512,
            "height": 512,
            "spacing_x": 0.8,
            "spacing_y": 0.8,
            "pixels": pictures[number % 40],
            "structures": [boxes[n] | {"class_id": n + 1, "area": 9000, "rle": mask} for n, mask in enumerate(masks)],
            "captions": [caption, caption | {"language": "de"}],
            "questions": [question] * 8,
        }


def anonymous() -> int:
    """Bytes in memory of this process that belong to no file."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.split("RssAnon:")[1].split()[0])


def loaded(read: Callable[[], ExampleRows], queue: Any) -> None:
    """Put on the queue: bytes held for the rows, at the start and after the samples; seconds of reading; samples a CPU second; digest."""
    before, start = anonymous(), time.perf_counter()
    rows = read()
    samples = Samples(
        rows, surface_forms(rows.classes.meanings, SCHEMA), SampleOptions(SIDE, "yxyx", SHARES, 0, AUGMENT)
    )
    seconds = time.perf_counter() - start
    held = anonymous() - before
    digest = hashlib.blake2b()
    drawn = [
        (key, row, batch.task)
        for _, batch in islice(batch_order(samples, 24, 0), TIMED // 24 + 1)
        for key, row in zip(batch.keys, batch.rows, strict=True)
    ]
    samples.make(*drawn[0])
    cpu = 0.0
    for key, row, task in drawn[:TIMED]:
        start = time.process_time()
        sample = samples.make(key, row, task)
        cpu += time.process_time() - start
        digest.update(sample.image.tobytes() + f"{sample.text}|{sample.target}".encode())
    queue.put((held, anonymous() - before, seconds, len(drawn[:TIMED]) / cpu, digest.hexdigest()))


def in_a_process(read: Callable[[], ExampleRows]) -> tuple[int, int, float, float, str]:
    """What `loaded` measures in a process of its own."""
    fork = get_context("fork")
    queue = fork.SimpleQueue()
    process = fork.Process(target=loaded, args=(read, queue))
    process.start()
    measured: tuple[int, int, float, float, str] = queue.get()
    process.join()
    return measured


def main() -> None:
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    count, stored_only = numbers[0] if numbers else 3000, "--stored-only" in sys.argv
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows, shards = made_up_rows(count), []
        while part := list(islice(rows, SHARD)):
            shards.append(folder / f"{len(shards)}.parquet")
            write_shard(shards[-1], part, SCHEMA, Fingerprint("shards", 1, {}, {}), formats=["raw"])
        size = sum(path.stat().st_size for path in shards)
        print(f"{count:,} rows of {size / count / 1000:.0f} KB in {len(shards)} shards", flush=True)
        sides: dict[str, Callable[[], ExampleRows]] = {
            "in a file": lambda: own_parts(store_rows(folder / "work", shards))["train"],
            "in a file, found": lambda: own_parts(store_rows(folder / "work", shards))["train"],
        }
        if not stored_only:
            sides["in memory"] = lambda: TableRows(read_image_table(shards, {"train"}))
        print(f"{'rows':<20}{'start, s':>10}{'KB a row':>10}{'and after':>11}{'samples/s':>11}")
        speeds, digests = {}, set()
        for side, read in sides.items():
            held, after, seconds, speeds[side], digest = in_a_process(read)
            digests.add(digest)
            print(
                f"{side:<20}{seconds:>10.1f}{held / count / 1000:>10.2f}{after / count / 1000:>11.2f}{speeds[side]:>11.0f}",
                flush=True,
            )
        stored = sum(path.stat().st_size for path in (folder / "work").rglob("*") if path.is_file())
        print(f"bytes on the disk: {stored / size:.2f} of those of the shards")
        if len(digests) != 1:
            raise SystemExit("the sides give different samples")
        if not stored_only:
            ratio = speeds["in a file, found"] / speeds["in memory"]
            print(f"samples a CPU second, rows in a file over rows in memory: {ratio:.2f}x")
            if ratio < AT_LEAST:
                raise SystemExit(f"less than {AT_LEAST}x")


if __name__ == "__main__":
    main()
