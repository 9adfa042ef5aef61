"""The other side of `refrad.llm.sharing`: a server for all jobs that use its folder, until it has been idle for a while."""

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
from refrad.llm.sharing import ServerFolder

__all__ = ["serve"]

EVERYWHERE = (
    "0.0.0.0"  # the other nodes must reach it; its guard refuses every request without the key of the endpoint file
)

log = logging.getLogger(__name__)


def serve(folder: ServerFolder, options: ModelOptions, logs: Path) -> None:
    """Serve a model from start to graceful end. On a signal to stop, it removes its endpoint file first.

    Raises:
        ModelError: if the server does not come up, or stops by itself.
    """
    job = os.environ.get("SLURM_JOB_ID", "")
    by = f"Slurm job {job} on {socket.gethostname()}" if job else f"process {os.getpid()} on {socket.gethostname()}"
    if folder.endpoint.holds():
        log.info("%s: another server is there already", options.name)
        return
    server = Server(options, logs / f"{folder.path.name}.{job or os.getpid()}.vllm.log", EVERYWHERE)
    with contextlib.ExitStack() as end:
        end.callback(server.stop)
        end.enter_context(_stop_signals())
        folder.starting.write({"job": job})
        try:
            with folder.starting.renewed():
                server.start()
            address = f"http://{socket.gethostname()}:{server.port}/v1"
            folder.endpoint.write(
                {"address": address, "key": server.key, "model": options.name, "by": by, "started": time.time()}
            )
        except ModelError as error:
            folder.failed.write({"why": str(error)})
            raise
        finally:
            folder.starting.drop()  # after the endpoint is there, so that no job sees neither and starts another
        try:
            with folder.endpoint.renewed():
                _until_idle(folder, server, options.server.idle)
        finally:
            if (now := folder.endpoint.read()) and now["key"] == server.key:
                folder.endpoint.drop()


def _until_idle(folder: ServerFolder, server: Server, idle: float) -> None:
    """Return when no job has used the server for `idle` seconds, or its endpoint file is gone or another's."""
    last_used = time.monotonic()
    while time.monotonic() - last_used < idle:
        time.sleep(min(BEAT, idle))
        server.check()
        if (now := folder.endpoint.read()) is None or now["key"] != server.key:
            log.info("%s: %s", server.options.name, "another server has taken over" if now else "is needed no more")
            return
        if folder.used():
            last_used = time.monotonic()
    log.info("%s: unused for %.0f s", server.options.name, idle)


@contextlib.contextmanager
def _stop_signals() -> Iterator[None]:
    """A signal to stop ends the block, as if it were done: Slurm sends one when a job is cancelled or its time is over."""

    def stop(*_: object) -> None:
        raise _Stopped

    before = {sign: signal.signal(sign, stop) for sign in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except _Stopped:
        log.info("stops on a signal")
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


class _Stopped(Exception):
    """A signal came."""
