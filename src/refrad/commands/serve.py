"""`refrad serve`: one server of a language model for all jobs whose config has `endpoint: shared`."""

from pathlib import Path

from refrad.config import ModelOptions, load_config
from refrad.llm.serving import serve
from refrad.llm.sharing import Place
from refrad.workflow.site import Site

__all__ = ["main"]


def main(
    role: str | None = None,
    *,
    config: list[Path] | None = None,
    place: Path | None = None,
    logs: Path | None = None,
) -> None:
    """Serve the model of a role, such as rewrite, until no job has used it for `server.idle` seconds.

    Jobs start this themselves. By hand it serves where they may not submit jobs. `config`: the files given to Snakemake's
    --configfile, if any. `place`, `logs`: passed by a job instead of a role.

    Raises:
        ValueError: if the role has no shared model, or the server does not come up.
    """
    if place is not None:
        meeting = Place(place)
        options = ModelOptions.model_validate(meeting.model.read())
        serve(meeting, options, logs or place)
        return
    site = Site(load_config(config or [Path("config.yaml")]))
    chosen = getattr(site.config.llm, role or "", None)
    if not isinstance(chosen, ModelOptions) or chosen.endpoint != "shared":
        raise ValueError(f"llm.{role} is no model with the endpoint shared: name a role that is")
    servers = Path(site.store("llm")) / "servers"
    serve(Place.of(chosen, servers), chosen, logs or Path(site.server_logs))
