"""A vLLM server that lives as long as the process that started it."""

import ctypes
import json
import logging
import os
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path

from refrad.config import ModelOptions
from refrad.llm.endpoint import ModelError, try_completion
from refrad.llm.guard.refrad_guard import KEY_VARIABLE

__all__ = ["Server"]

POLL = 0.5  # seconds between looks whether it is ready
FAREWELL = 30.0  # seconds to stop by itself
DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG

# No white space between JSON tokens: some models else fill their answer with it.
DECODING = {"backend": "xgrammar", "disable_any_whitespace": True}
# Nothing is fetched, nothing is reported.
QUIET = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
# A busy server may close a connection with an unread request as idle: so idle ones stay open for long.
PATIENT = {"VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "600"}

# vLLM guards some of its routes with the key; this middleware guards all. It is found by its folder.
GUARD = "refrad_guard.KeyGuard"
GUARD_FOLDER = Path(__file__).parent / "guard"

log = logging.getLogger(__name__)


class Server:
    """vLLM with one model, on a free port, open to who knows its key. Its log goes to the file `log`.

    `host`: the address it listens at; other machines reach it at 0.0.0.0 only.
    """

    def __init__(self, options: ModelOptions, log: Path, host: str = "127.0.0.1") -> None:
        self.options, self.log, self.host = options, log, host
        self.key = secrets.token_hex(16)
        self.endpoint, self.port = "", 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it has completed a first text.

        Raises:
            ModelError: if it stops, or is not ready in time; the message names the log.
        """
        port = self.port = _free_port(self.host)
        self.endpoint = f"http://127.0.0.1:{port}/v1"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        with self.log.open("wb") as file:
            try:
                self._process = subprocess.Popen(
                    self.command(port),
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    env=self.environment(),
                    start_new_session=True,
                    preexec_fn=_die_with_parent,
                )
            except OSError as error:
                raise ModelError(
                    f"{self.options.name}: server.python cannot be started: {error.strerror}: {self.options.server.python}"
                ) from None
        while not self._completes():
            self.check()
            if time.monotonic() - started > self.options.server.startup:
                self.stop()
                raise ModelError(
                    f"{self.options.name}: the server was not ready in {self.options.server.startup:.0f} s:"
                    f" see {self.log}, or raise server.startup"
                )
            time.sleep(POLL)
        log.info("%s is ready after %.0f s", self.options.name, time.monotonic() - started)

    def command(self, port: int) -> list[str]:
        """The command line of the server. The `vllm` command itself is not used: the module works in every build of it."""
        server = self.options.server
        command = [server.python, "-m", "vllm.entrypoints.openai.api_server", "--model", self.options.model]
        command += ["--served-model-name", self.options.name, "--host", self.host, "--port", str(port)]
        command += ["--max-model-len", str(server.context), "--structured-outputs-config", json.dumps(DECODING)]
        command += ["--disable-uvicorn-access-log", "--middleware", GUARD]
        if server.gpus > 1:
            command += ["--tensor-parallel-size", str(server.gpus)]
        return [*command, *server.arguments]

    def environment(self) -> dict[str, str]:
        """The environment of the server: that of this process without its Python paths, the settings, the key and the guard."""
        inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        settings = inherited | QUIET | PATIENT | self.options.server.environment
        paths = [str(GUARD_FOLDER), *filter(None, [settings.get("PYTHONPATH")])]
        return settings | {KEY_VARIABLE: self.key, "PYTHONPATH": os.pathsep.join(paths)}

    def check(self) -> None:
        """Raise ModelError if it has stopped by itself."""
        if self._process is not None and (status := self._process.poll()) is not None:
            self.stop()
            raise ModelError(f"{self.options.name}: the server stopped (exit status {status}): {self.failure()}")

    def stop(self) -> None:
        """Stop it and all its processes."""
        if self._process is None:
            return
        for sign, patience in ((signal.SIGTERM, FAREWELL), (signal.SIGKILL, FAREWELL)):
            try:
                os.killpg(self._process.pid, sign)
                self._process.wait(patience)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self._process.wait()
        self._process = None

    def _completes(self) -> bool:
        status = try_completion(self.endpoint, self.key, self.options.name)
        if 400 <= status < 500:
            self.stop()
            raise ModelError(f"{self.options.name}: the server refuses a first request ({status}): see {self.log}")
        return status == 200

    def failure(self) -> str:
        """The last line of the log that names an error, and where the log is. Requests are never in it."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        lines = [line for line in lines if " WARNING " not in f" {line}" and " INFO " not in f" {line}"]
        last = next((line for line in reversed(lines) if "Error" in line or "error:" in line), "")
        error = f"{last.split(') ', 1)[-1].strip()[:300]}; " if last else ""
        return f"{error}the whole log is {self.log}"


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    """No server outlives a job that was killed, and no GPU stays taken."""
    ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGTERM)
