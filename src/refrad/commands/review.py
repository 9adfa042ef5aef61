"""The command `refrad review`: the dataset in a browser of this machine, for people who accept or reject its pairs."""

import gc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from refrad.anatomy.schema import load_schema
from refrad.config import load_config
from refrad.dataset.file_list import list_dataset, shard_folder
from refrad.review.access import make_token
from refrad.review.desk import ReviewDesk
from refrad.review.image_answers import ImageAnswers
from refrad.review.item_index import ItemIndex
from refrad.review.judgement import VerdictHistory
from refrad.review.left_out import left_out_tables, read_left_out
from refrad.review.opening import open_index
from refrad.review.pair_pages import PairPages
from refrad.review.review_statistics import summarize_review
from refrad.review.review_words import describe_review
from refrad.review.sheet_verdicts import verdicts_of_sheet
from refrad.review.verdict_posts import VerdictPosts
from refrad.review.verdict_reader import VerdictReader
from refrad.review.verdicts import open_verdicts
from refrad.review.volume_shelf import ShardKey, ShardTables, VolumeShelf
from refrad.review.web_server import build_application, open_port, serve_until_stopped, start_address
from refrad.workflow.site import Site

__all__ = ["main"]


def main(
    config: list[Path],
    *,
    reviewer: str = "",
    port: int | None = None,
    address: Literal["127.0.0.1", "::1"] = "127.0.0.1",
    summary: bool = False,
    sheet: Path | None = None,
) -> None:
    """Serve the dataset to reviewers at this machine, until Ctrl-C; their verdicts go to the private folder.

    Or, with --summary, print how much is reviewed, the precision, and the agreement of reviewers; with --sheet, take over
    the marks of a ticked sheet of `refrad audit` as verdicts of --reviewer.

    The printed address has a secret: whoever has it can read the reports' sentences. No other machine can reach it.

    Args:
        config: config files, later ones over earlier ones.
        reviewer: name or initials of reviewers who give none in their browser.
        port: of the address; without, the first free one from 8321.
        address: of the loopback interface.
        summary: print the state of the review and serve nothing.
        sheet: a sheet.csv of `refrad audit` whose column `right` holds yes or no.

    Raises:
        ValueError: if the config is wrong, the port is taken, or the dataset or the file of verdicts is damaged.
        FileNotFoundError: if there is no dataset.
    """
    site = Site(load_config(config), downloads=False)
    results, private = Path(site.folder("results")), Path(site.config.privacy.folder) / "review"
    if sheet is not None:
        print(_take_over(sheet, reviewer, _index(site, results, private), private / "verdicts.sqlite"))
        return
    if summary:
        print("\n".join(_summary(site, results, private)))
        return
    listener = open_port(address, port)
    try:
        schema = load_schema(Path(site.schema))
        index = _index(site, results, private)
        verdicts = VerdictReader(private / "verdicts.sqlite")
        files = list_dataset(results / "shards")
        left_out = read_left_out(left_out_tables(results, files))
        desk = ReviewDesk(index, verdicts, schema, site.config.shards.windows, left_out)
        stores = Path(site.store("volumes")), Path(site.store("masks"))
        shelf = VolumeShelf(_tables(results, files), *stores, schema)
        token = make_token()
        application = build_application(
            PairPages(desk, shelf, schema, reviewer),
            ImageAnswers(desk, shelf, schema),
            VerdictPosts(desk, reviewer),
            token,
            listener.getsockname()[1],
        )
        gc.collect()
        gc.freeze()  # what is loaded stays: collecting it again and again would slow the pages
        print(f"Review of {len(index.items):,} items; Ctrl-C ends it. Open in a browser of this machine:")
        print(start_address(listener, token), flush=True)
        serve_until_stopped(application, listener)
    finally:
        listener.close()
    print(f"Review ended; {private / 'verdicts.sqlite'} has the verdicts.")


def _index(site: Site, results: Path, private: Path) -> ItemIndex:
    files = list_dataset(results / "shards")
    return open_index(files, results, private / "index", Path(site.schema), Path(site.lexicon))


def _summary(site: Site, results: Path, private: Path) -> Iterator[str]:
    """The state of the review, in lines."""
    verdicts = private / "verdicts.sqlite"
    if not verdicts.exists():
        yield "Nobody has given a verdict."
        return
    with open_verdicts(verdicts, writable=False) as store:
        judged = VerdictHistory(store.all()).counting()
    items = _index(site, results, private).items
    total = dict(items["item"].value_counts().iter_rows())
    left_out = read_left_out(left_out_tables(results, list_dataset(results / "shards")))
    names = {entry.id: entry.name for entry in load_schema(Path(site.schema)).classes}
    yield from describe_review(summarize_review(judged, items, total, left_out, names))


def _take_over(sheet: Path, reviewer: str, index: ItemIndex, path: Path) -> str:
    """Add the marks of a sheet as verdicts, and return what was done.

    Raises:
        ValueError: if no reviewer is named, or the sheet cannot be used.
    """
    if not reviewer.strip():
        raise ValueError("name who ticked the sheet, such as --reviewer AB")
    verdicts, changed = verdicts_of_sheet(sheet.read_text(encoding="utf-8-sig"), sheet.name, reviewer, index)
    with open_verdicts(path) as store:
        present = {(verdict.reviewer, verdict.key, verdict.verdict) for verdict in store.latest()}
        new = [verdict for verdict in verdicts if (verdict.reviewer, verdict.key, verdict.verdict) not in present]
        store.add_all(new)
    return (
        f"{len(new)} verdicts of {reviewer} added, {len(verdicts) - len(new)} were there;"
        f" {changed} marks are on pairs that have changed since or are gone"
    )


def _tables(results: Path, files: Sequence[Path]) -> dict[ShardKey, ShardTables]:
    """The tables of the shards of the dataset."""
    tables = {}
    for folder in dict.fromkeys(map(shard_folder, files)):
        if folder.name.isdigit():
            volumes, masks = (
                results / "volumes" / folder / "volumes.parquet",
                results / "masks" / folder / "masks.parquet",
            )
            tables[ShardKey(folder.parent.name, int(folder.name))] = ShardTables(volumes, masks)
    return tables
