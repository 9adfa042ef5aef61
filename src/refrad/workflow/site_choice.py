"""The lists that choose images, as the rules use them: their entries, digests and flags."""

import shlex
from functools import cached_property
from pathlib import Path
from typing import Any

from refrad.config import IndexOptions
from refrad.privacy.choice_lists import LISTS, ChoiceEntry, digests_of_choice, read_choice_list
from refrad.privacy.keys import read_or_create_key

__all__ = ["SiteChoice"]


class SiteChoice:
    """The lists of a site.

    Attributes:
        paths: of the lists that there are, by the option of stage index that names them.
    """

    def __init__(self, options: IndexOptions) -> None:
        self.paths = {name: Path(path) for name in LISTS if (path := getattr(options, name)) is not None}

    @cached_property
    def entries(self) -> dict[str, tuple[ChoiceEntry, ...]]:
        """The entries of each list."""
        return {name: read_choice_list(path) for name, path in self.paths.items()}

    def digests(self, key: Path) -> dict[str, str]:
        """The keyed digests of the lists for a fingerprint. The key is made if there are entries and it is missing."""
        return digests_of_choice(self.entries, read_or_create_key(key)) if any(self.entries.values()) else {}

    @property
    def flags(self) -> Any:
        """A Snakemake params function: ` --include ... --exclude ...`.

        It takes `resources`, so Snakemake leaves it out of the triggers of a rerun: a list may be moved, and the digest of its
        entries is in the fingerprint.
        """

        def text(wildcards: Any, resources: Any) -> str:  # noqa: ARG001
            return "".join(f" --{name} {shlex.quote(str(path))}" for name, path in self.paths.items())

        return text
