"""Options of the files that link pseudonyms to the archive."""

from typing import Annotated

from pydantic import AfterValidator, Field

from refrad.config.secrets import check_key_file
from refrad.config.section import Section

__all__ = ["Privacy"]


class Privacy(Section):
    """Files that link pseudonyms to the archive."""

    key: Annotated[str, AfterValidator(check_key_file)] = Field(
        description="File of the 32 secret bytes that make the pseudonyms, created at first use; the demo's key is public "
        "and is refused for any other data, so name another file for your site, such as private/key."
    )
    folder: str = Field(
        description="Folder of the tables that link pseudonyms to paths and identifiers of the archive; never publish it."
    )
