"""The command `refrad review`: the dataset in a browser of this machine, for people who accept or reject its pairs."""

from pathlib import Path
from typing import Literal

from refrad.anatomy.schema import load_schema
from refrad.config import load_config
from refrad.dataset.shard_io import list_shards
from refrad.review.access import make_token
from refrad.review.desk import ReviewDesk
from refrad.review.image_answers import ImageAnswers
from refrad.review.opening import open_index
from refrad.review.pair_pages import PairPages
from refrad.review.verdict_posts import VerdictPosts
from refrad.review.verdict_reader import VerdictReader
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
) -> None:
    """Serve the dataset to reviewers at this machine, until Ctrl-C; their verdicts go to the private folder.

    The printed address has a secret: whoever has it can read the reports' sentences. No other machine can reach it.

    Args:
        config: config files, later ones over earlier ones.
        reviewer: name or initials of reviewers who give none in their browser.
        port: of the address; without, the first free one from 8321.
        address: of the loopback interface.

    Raises:
        ValueError: if the config is wrong, the port is taken, or the dataset or the file of verdicts is damaged.
        FileNotFoundError: if there is no dataset.
    """
    site = Site(load_config(config))
    results, private = Path(site.folder("results")), Path(site.config.privacy.folder) / "review"
    listener = open_port(address, port)
    try:
        schema = load_schema(Path(site.schema))
        files = list_shards(results / "shards")
        index = open_index(files, results, private / "index", Path(site.schema), Path(site.lexicon))
        verdicts = VerdictReader(private / "verdicts.sqlite")
        desk = ReviewDesk(index, verdicts, schema, site.config.shards.windows)
        stores = Path(site.store("volumes")), Path(site.store("masks"))
        shelf = VolumeShelf(lambda shard: _tables(results, shard), *stores, schema)
        token = make_token()
        application = build_application(
            PairPages(desk, shelf, schema, reviewer),
            ImageAnswers(desk, shelf, schema),
            VerdictPosts(desk, reviewer),
            token,
            listener.getsockname()[1],
        )
        print(f"Review of {len(index.items):,} items; Ctrl-C ends it. Open in a browser of this machine:")
        print(start_address(listener, token), flush=True)
        serve_until_stopped(application, listener)
    finally:
        listener.close()
    print(f"Review ended; {private / 'verdicts.sqlite'} has the verdicts.")


def _tables(results: Path, shard: ShardKey) -> ShardTables:
    folder = Path(shard.delivery, str(shard.shard))
    return ShardTables(results / "volumes" / folder / "volumes.parquet", results / "masks" / folder / "masks.parquet")
