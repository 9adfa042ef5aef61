"""The other side of `refrad.llm.sharing`: a server for all who come to its place, until nobody has for a while."""

import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from refrad.config import ModelOptions
from refrad.llm.endpoint import ModelError
from refrad.llm.server import Server
from refrad.llm.server_leases import BEAT
from refrad.llm.sharing import Place

__all__ = ["serve"]

EVERYWHERE = "0.0.0.0"  # the other nodes must reach it; without the key of the endpoint file it answers nobody

log = logging.getLogger(__name__)


def serve(place: Place, options: ModelOptions, logs: Path) -> None:
    """Serve a model from start to graceful end. Told to stop, it takes its endpoint back before it stops.

    Raises:
        ModelError: if the server does not come up, or stops by itself.
    """
    job = os.environ.get("SLURM_JOB_ID", "")
    by = f"Slurm job {job} on {socket.gethostname()}" if job else f"process {os.getpid()} on {socket.gethostname()}"
    if place.endpoint.holds():
        log.info("%s: another server is there already", options.name)
        return
    server = Server(options, logs / f"{place.folder.name}.{job or os.getpid()}.vllm.log", EVERYWHERE)
    with contextlib.ExitStack() as end:
        end.callback(server.stop)
        end.enter_context(_told_to_stop())
        place.starting.write({"job": job})
        try:
            with place.starting.renewed():
                server.start()
            address = f"http://{socket.gethostname()}:{server.port}/v1"
            mine = {"address": address, "key": server.key, "model": options.name, "by": by, "started": time.time()}
            place.endpoint.write(mine)
        except ModelError as error:
            place.failed.write({"why": str(error)})
            raise
        finally:
            place.starting.drop()  # after the endpoint is there, lest somebody sees neither and starts another
        try:
            with place.endpoint.renewed():
                _until_idle(place, server, options.server.idle)
        finally:
            if (now := place.endpoint.read()) and now["key"] == server.key:
                place.endpoint.drop()


def _until_idle(place: Place, server: Server, idle: float) -> None:
    """Return when nobody has used the server for `idle` seconds, or its endpoint file is gone or another's."""
    last_used = time.monotonic()
    while time.monotonic() - last_used < idle:
        time.sleep(min(BEAT, idle))
        server.check()
        if (now := place.endpoint.read()) is None or now["key"] != server.key:
            log.info("%s: %s", server.options.name, "another server has taken over" if now else "is needed no more")
            return
        if place.used():
            last_used = time.monotonic()
    log.info("%s: nobody has used it for %.0f s", server.options.name, idle)


@contextlib.contextmanager
def _told_to_stop() -> Iterator[None]:
    """A signal to stop ends the block, as if it were done: Slurm sends one when a job is cancelled or its time is over."""

    def stop(*_: object) -> None:
        raise _Told

    before = {sign: signal.signal(sign, stop) for sign in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except _Told:
        log.info("told to stop")
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


class _Told(Exception):
    """A signal came."""
