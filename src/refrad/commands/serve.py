"""`refrad serve`: one server of a language model for all jobs whose config has `endpoint: shared`."""

from pathlib import Path

from refrad.config import ModelOptions, load_config
from refrad.llm.serving import serve
from refrad.llm.sharing import ServerFolder
from refrad.workflow.site import Site

__all__ = ["main"]


def main(
    role: str | None = None,
    *,
    config: list[Path] | None = None,
    folder: Path | None = None,
    logs: Path | None = None,
) -> None:
    """Serve the model of a role, such as rewrite, until no job has used it for `server.idle` seconds.

    Jobs start this command themselves. Start it by hand at a site where jobs may not submit jobs.

    Args:
        role: section of `llm` whose model is served.
        config: the files given to Snakemake's --configfile, if any.
        folder: of the server and its users, passed by a job instead of a role.
        logs: folder of the logs.

    Raises:
        ValueError: if the role has no shared model, or the server does not come up.
    """
    if folder is not None:
        shared = ServerFolder(folder)
        options = ModelOptions.model_validate(shared.model.read())
        serve(shared, options, logs or folder)
        return
    site = Site(load_config(config or [Path("config.yaml")]), downloads=False)
    chosen = getattr(site.config.llm, role or "", None)
    if not isinstance(chosen, ModelOptions) or chosen.endpoint != "shared":
        raise ValueError(f"llm.{role} is no model with the endpoint shared: name a role that is")
    servers = Path(site.store("llm")) / "servers"
    serve(ServerFolder.of(chosen, servers), chosen, logs or Path(site.server_logs))
