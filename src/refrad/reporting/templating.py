"""How the pages of all packages are made from their templates."""

from jinja2 import Environment, PackageLoader, StrictUndefined

__all__ = ["page_environment"]


def page_environment(package: str) -> Environment:
    """The environment for the folder `templates` of a package, such as "refrad.review".

    Sentences of reports are data, never HTML, so all values are escaped; a value that a template misses raises.
    """
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
