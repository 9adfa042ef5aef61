"""Pages of `refrad review` over 100,000 images with 10,000 verdicts, against reading the dataset for each page, in CPU time.

python benchmarks/review.py [images]

Every filter, words, deep pages, a pair, the random queue, the summary, and a page after a further verdict. Prints the share of
SLOWEST that each takes, and how many times longer reading takes; both are asserted for 100,000 images.
"""

import copy
import gc
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from html import unescape
from pathlib import Path
from statistics import median

import anyio
import numpy as np
import polars as pl
from PIL import Image

from refrad.anatomy.schema import load_schema
from refrad.dataset.image_codec import encode_mask
from refrad.dataset.shard_io import read_rows, write_shard
from refrad.review.access import AccessGuard
from refrad.review.desk import ReviewDesk
from refrad.review.image_answers import ImageAnswers
from refrad.review.item_index import ItemIndex
from refrad.review.judgement import ReviewVerdict
from refrad.review.left_out import read_left_out
from refrad.review.opening import open_index
from refrad.review.pair_pages import PairPages
from refrad.review.pair_selection import VERDICT_WORDS
from refrad.review.verdict_posts import VerdictPosts
from refrad.review.verdict_reader import VerdictReader
from refrad.review.verdicts import open_verdicts
from refrad.review.volume_shelf import VolumeShelf
from refrad.review.web_server import build_application
from refrad.workflow.fingerprint import Fingerprint

IMAGES, SHARDS, SIDE, PORT = 100_000, 50, 512, 8321
AT_LEAST = 10  # times the CPU time of a page
SLOWEST = 0.3  # seconds of CPU a page
REPEATS = 5
CLASSES = Path("workflow/anatomy/classes.yaml")
LEXICON = Path("workflow/anatomy/lexicon.yaml")
ORGANS = {5: "liver", 1: "spleen", 2: "right kidney", 3: "left kidney", 7: "pancreas", 52: "aorta"}
VERDICTS = 10_000
FILTERS = {
    **{"class_id": "5", "modality": "MR", "plane": "axial", "split": "test", "language": "en", "tie": "structure"},
    **{"via": "exact", "delivery": "made-up", "suspicion": "any", "sort": "suspicion"},
}
PAGES = {
    "the list": "/",
    "page 3000 of it": "/?page=3000",
    "words": "/?text=spleen+normal",
    "words that none has": "/?text=nobody+writes+this",
    "a class, most signs first": "/?class_id=5&sort=suspicion",
    "four filters": "/?class_id=5&modality=MR&split=test&verdict=none",
    "page 3000 without verdict, most signs first": "/?verdict=none&sort=suspicion&page=3000",
    **{f"filter {name}": f"/?{name}={value}" for name, value in FILTERS.items()},
    **{f"filter verdict {name}": f"/?verdict={name}" for name in VERDICT_WORDS},
    "the summary": "/summary",
    "what was left out": "/left-out",
}


def picture() -> bytes:
    """A grey PNG that is as large as those of 224 px."""
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 90, (64, 224, 3), np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def rows(start: int, count: int) -> Iterator[dict]:
    """Images with two captions of two organs each, six structures and four questions."""
    rng = np.random.default_rng(start)
    png, structures = {"bytes": picture(), "path": None}, []
    for class_id in ORGANS:
        mask = np.zeros((SIDE, SIDE), bool)
        x, y = rng.integers(40, 350, 2)
        mask[y : y + 90, x : x + 70] = True
        box = {"x_min": int(x), "y_min": int(y), "x_max": int(x) + 70, "y_max": int(y) + 90}
        structures.append(box | {"class_id": class_id, "area": 6300, "rle": encode_mask(mask)})
    for number in range(start, start + count):
        captions = []
        for turn in range(2):
            pair = rng.choice(list(ORGANS), 2, replace=False).tolist()
            text = f"{ORGANS[pair[0]].capitalize()} and {ORGANS[pair[1]]} are normal, seen in examination {number}."
            entities = []
            for class_id in pair:
                at = text.lower().index(ORGANS[class_id])
                box = next(entry for entry in structures if entry["class_id"] == class_id)
                corners = {name: box[name] for name in ("x_min", "y_min", "x_max", "y_max")}
                if number % 50 == 0:
                    corners["x_max"] = corners["x_min"] + 2  # a sign: a small box
                span = {"start": at, "end": at + len(ORGANS[class_id]), "text": text[at : at + len(ORGANS[class_id])]}
                entities.append(corners | span | {"class_id": class_id, "via": "exact"})
            ids = {"caption": f"c{turn}{number:08x}", "sentence": f"s{turn}{number:08x}", "language": "en"}
            facts = {"tie": "structure", "indication": None, "question": None}
            captions.append(ids | facts | {"text": text, "entities": entities})
        questions = [
            {"language": "en", "topic": "findings", "kind": "yesno", "question": f"Is the {organ} visible?"}
            | {"choices": [], "answer": "yes", "backend": "templates"}
            for organ in list(ORGANS.values())[:4]
        ]
        yield {
            "image_id": f"i{number:08x}",
            "volume": f"v{number // 100:06x}",
            "study": f"t{number // 100:06x}",
            "patient": f"p{number // 200:06x}",
            "split": "test" if number % 10 == 0 else "train",
            "modality": "MR" if number % 3 == 0 else "CT",
            "plane": "axial",
            "index": number % 100,
            "width": SIDE,
            "height": SIDE,
            "spacing_x": 0.7,
            "spacing_y": 0.7,
            "image": png,
            "structures": copy.copy(structures),
            "captions": captions,
            "questions": questions,
            "provenance": None,
        }


def write_verdicts(path: Path, index: ItemIndex) -> None:
    """Verdicts of two reviewers on captions, half of them of the random queue, a tenth rejections."""
    captions = index.items.filter(pl.col("item") == "caption")
    drawn = captions.sample(min(VERDICTS, len(captions)), seed=1)
    names = ("delivery", "shard", "patient", "image_id", "item", "item_id", "digest")
    verdicts = [
        ReviewVerdict(
            **{name: row[name] for name in names},
            reviewer="AB" if number % 3 else "CD",
            verdict="accept" if number % 10 else "reject",
            queue="random" if number % 2 else "browse",
        )
        for number, row in enumerate(drawn.iter_rows(named=True))
    ]
    with open_verdicts(path) as store:
        store.add_all(verdicts)


def server(folder: Path, files: list[Path]) -> AccessGuard:
    """The application over a dataset."""
    schema = load_schema(CLASSES)
    start = time.perf_counter()
    index = open_index(files, folder, folder / "index", CLASSES, LEXICON)
    print(f"{len(index.items):,} items: index made in {time.perf_counter() - start:.0f} s", end="")
    start = time.perf_counter()
    index = open_index(files, folder, folder / "index", CLASSES, LEXICON)
    print(f", opened again in {time.perf_counter() - start:.1f} s")
    write_verdicts(folder / "v.sqlite", index)
    verdicts, windows = VerdictReader(folder / "v.sqlite"), [(2250, -100), (350, 40), (80, 40)]
    desk = ReviewDesk(index, verdicts, schema, windows, read_left_out([]))
    shelf = VolumeShelf({}, folder, folder, schema)
    gc.collect()
    gc.freeze()  # as the command does
    images, posts = ImageAnswers(desk, shelf, schema), VerdictPosts(desk, "AB")
    return build_application(PairPages(desk, shelf, schema, "AB"), images, posts, "t", PORT)


def get(application: AccessGuard, address: str, body: object = None) -> str:
    """The page of an address, after what it leads to; or the reply to what is posted there."""
    path, _, query = address.partition("?")
    content, host = json.dumps(body).encode() if body else b"", f"127.0.0.1:{PORT}"
    named = {"host": host, "cookie": f"refrad-review-{PORT}=t", "origin": f"http://{host}"}
    named |= {"content-type": "application/json", "content-length": str(len(content))}
    headers = [(name.encode(), value.encode()) for name, value in named.items()]
    scope = {
        "type": "http",
        "method": "POST" if body else "GET",
        "path": path,
        "query_string": query.encode(),
        "headers": headers,
    }
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    anyio.run(application, scope, receive, send)
    if sent[0]["status"] == 303:
        return get(application, dict(sent[0]["headers"])[b"location"].decode())
    assert sent[0]["status"] == 200, sent
    return b"".join(part.get("body", b"") for part in sent[1:]).decode()


def cpu(act: Callable[[], object], repeats: int = REPEATS) -> tuple[float, float]:
    """CPU seconds of an act the first time, and the median of the next times."""
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        act()
        times.append(time.process_time() - start)
    return times[0], median(times[1:])


def page_by_reading(files: list[Path]) -> int:
    """How many captions have a word, by reading all rows of the dataset: a page without an index."""
    return sum("spleen" in caption["text"].lower() for row in read_rows(files, _Texts) for caption in row["captions"])


class _Texts(dict):
    __required_keys__ = frozenset({"image_id", "captions"})
    __optional_keys__ = frozenset()


def main() -> None:
    """Print CPU times of pages and their ratio to those of reading."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    schema, stage = load_schema(CLASSES), Fingerprint("shards", 1, {}, {})
    with tempfile.TemporaryDirectory() as name:
        folder, files = Path(name), []
        for shard in range(SHARDS):
            files.append(folder / "data" / "made-up" / str(shard) / "train.parquet")
            write_shard(files[-1], rows(shard * count // SHARDS, count // SHARDS), schema, stage)
        application = server(folder, files)
        reading = cpu(lambda: page_by_reading(files), repeats=1)[1]
        print(f"reading all rows: {1000 * reading:.0f} ms of CPU")
        first = get(application, "/?page=100").split('class="open" href="')[1].split('"')[0].replace("&amp;", "&")
        pair = get(application, first)
        item = json.loads(unescape(pair.split('data-key="')[1].split('"')[0]))
        item |= {"item": "caption", "item_id": item["caption"], "digest": pair.split('data-digest="')[1].split('"')[0]}

        def judge() -> None:
            """A verdict, and the next pair of the queue."""
            get(application, "/verdict", item | {"verdict": "accept"})
            get(application, "/queue")

        acts = {label: partial(get, application, address) for label, address in PAGES.items()}
        acts |= {"a pair": partial(get, application, first), "a pair of the queue": partial(get, application, "/queue")}
        acts |= {"a verdict and the next pair": judge, "the summary after it": partial(get, application, "/summary")}
        slowest = 0.0
        for label, act in acts.items():
            once, again = cpu(act)
            slowest = max(slowest, once, again)
            print(
                f"{label}: {100 * once / SLOWEST:.0f} % of {1000 * SLOWEST:.0f} ms of CPU at first,"
                f" then {100 * again / SLOWEST:.0f} %: {reading / again:.0f}x"
            )
            assert reading / again >= AT_LEAST or count < IMAGES, "the ratio is too low"
        assert slowest < SLOWEST, "a page takes too long"


if __name__ == "__main__":
    main()
