"""One vLLM server for all jobs of any stage, on any node, that use the same model.

The jobs meet in a folder of the store. The first with a request starts the server, as a Slurm job or as a process of
this machine; the server writes its endpoint there once it has completed a text, and renews that file while it lives. Each
job that uses it keeps a file there as well; some time after the last is gone the server ends.
"""

import json
import logging
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from pydantic import JsonValue

from refrad.config import ModelOptions
from refrad.core.files import digest_bytes
from refrad.llm.endpoint import ModelError, ServerLostError, try_completion
from refrad.llm.server_leases import EndpointRecord, FailureRecord, Lease, StartRecord, UserRecord

__all__ = ["ServerFolder", "SharedServer", "release"]

POLL = 1.0  # seconds between looks whether the server is ready
LOG_SECONDS = 60.0  # seconds between lines in the log
TRIES = 3  # servers that may vanish before they are ready
GPUS = "{gpus}"  # in the words for sbatch: replaced by the number of GPUs

log = logging.getLogger(__name__)


class ServerFolder:
    """The folder in which a server and its users meet; only its owner can read it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.users = path / "users"
        self.users.mkdir(exist_ok=True)
        self.endpoint = Lease[EndpointRecord](path / "endpoint.json")
        self.starting = Lease[StartRecord](path / "starting.json")
        self.failed = Lease[FailureRecord](path / "failed.json")
        self.model = Lease[dict[str, JsonValue]](path / "model.json")  # `ModelOptions` of the served model

    @staticmethod
    def of(options: ModelOptions, servers: Path) -> "ServerFolder":
        """The folder for a model: the same for all roles that differ in request options only."""
        identity = options.server.model_dump(mode="json") | {"model": options.model}
        digest = digest_bytes(json.dumps(identity, sort_keys=True).encode())
        return ServerFolder(servers / f"{options.name}-{digest[:8]}")

    def user(self) -> Lease[UserRecord]:
        """The file of a process that uses the server."""
        return Lease(self.users / f"{socket.gethostname()}.{os.getpid()}.json")

    def used(self) -> bool:
        """Does a process use the server?"""
        return any(Lease[UserRecord](path).holds() for path in self.users.glob("[!.]*.json"))


def release(servers: Path) -> None:
    """End the servers without users now, before their time `idle` is over."""
    for path in servers.glob("*/"):
        folder = ServerFolder(path)
        if not folder.used():
            folder.endpoint.drop()


class SharedServer:
    """A job's share in a server. `submit`: the site's words for sbatch; empty on a machine without Slurm."""

    def __init__(self, options: ModelOptions, servers: Path, logs: Path, submit: str) -> None:
        self.options, self.logs, self.submit = options, logs, submit
        self.folder = ServerFolder.of(options, servers)
        self._user = self.folder.user()
        self._here = ExitStack()
        self._endpoint: EndpointRecord | None = None

    def connect(self) -> tuple[str, str]:
        """Endpoint and key of the server; waits until there is one, and starts it if no other job does.

        Raises:
            ModelError: if it does not come up; the message has the reason.
        """
        self._join()
        tries, waiting, logged = 0, False, time.monotonic()
        while (endpoint := self._ready_endpoint()) is None:
            if self._is_coming():
                waiting = True
            elif waiting and (failed := self.folder.failed.read()):
                raise ModelError(failed["why"])
            elif not self.folder.endpoint.holds():
                if tries == TRIES:
                    raise ModelError(
                        f"{self.options.name}: {tries} servers ended before they were ready: see {self.logs}"
                    )
                tries += self.start_server()
                waiting = True  # it may fail before the next look
            if time.monotonic() - logged > LOG_SECONDS:
                logged = time.monotonic()
                job = (self.folder.starting.read() or {}).get("job")
                log.info("%s: waits for its server%s", self.options.name, f", Slurm job {job}" if job else "")
            time.sleep(POLL)
        log.info("%s: uses the server of %s", self.options.name, endpoint["by"])
        return endpoint["address"], endpoint["key"]

    def check(self) -> None:
        """Raise ServerLostError if the server is gone, or another has replaced it."""
        now, used = self.folder.endpoint.read(), self._endpoint
        if used and (now is None or now["key"] != used["key"] or not self.folder.endpoint.holds()):
            raise ServerLostError(f"{self.options.name}: the server of {used['by']} is gone: see {self.logs}")

    def leave(self) -> None:
        """Stop counting as a user."""
        self._here.close()
        self._user.drop()

    def _join(self) -> None:
        if not self._user.holds():
            self._user.write({})
            self._here.enter_context(self._user.renewed())

    def _ready_endpoint(self) -> EndpointRecord | None:
        """The server, if it completes a text."""
        endpoint = self.folder.endpoint.read()
        if endpoint is None:
            return None
        status = try_completion(endpoint["address"], endpoint["key"], self.options.name)
        if 400 <= status < 500 and self.folder.endpoint.read() == endpoint:
            raise ModelError(f"{self.options.name}: the server refuses a first request ({status}): see {self.logs}")
        self._endpoint = endpoint
        return endpoint if status == 200 else None

    def _is_coming(self) -> bool:
        """Is a server starting, or its job waiting in the queue?"""
        if self.folder.starting.holds():
            return True
        coming = self.folder.starting.read()
        return bool(coming and _in_queue(coming.get("job", "")))

    def start_server(self) -> bool:
        """Start a server, unless another job was faster; returns whether this job started it.

        Raises:
            ModelError: if the site's words for sbatch are missing or Slurm refuses the job.
        """
        if self.folder.starting.read() is not None:
            if self._is_coming():
                return False
            log.info("%s: a server vanished while it started", self.options.name)
            self.folder.starting.drop()
        if not self.folder.starting.take({}):
            return False
        if self.folder.endpoint.holds():  # it was ready a moment ago
            self.folder.starting.drop()
            return False
        self.folder.endpoint.drop()  # of a dead server
        self.folder.failed.drop()
        self.folder.model.write(self.options.model_dump(mode="json"))
        self.logs.mkdir(parents=True, exist_ok=True)
        try:
            with self.folder.starting.renewed():
                job = self._hand_over()
        except BaseException:
            self.folder.starting.drop()
            raise
        log.info("%s: starts its server, %s", self.options.name, f"Slurm job {job}" if job else "on this machine")
        if job and self.folder.starting.read() == {}:
            self.folder.starting.write({"job": job})
        return True

    def _hand_over(self) -> str:
        """Start `refrad serve` so that it outlives this job; the number of its Slurm job, or "" if it is none."""
        command = [sys.executable, "-m", "refrad", "serve"]
        command += ["--folder", str(self.folder.path.resolve()), "--logs", str(self.logs.resolve())]
        if not self.submit:
            if "SLURM_JOB_ID" in os.environ:
                raise ModelError(
                    f"{self.options.name}: no command for starting a shared server is configured: give llm_server in the profile, as"
                    " profiles/slurm has it"
                )
            with (self.logs / f"{self.folder.path.name}.log").open("ab") as file:
                subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
                )
            return ""
        gpus = self.options.server.gpus
        words = [word.replace(GPUS, str(gpus)) for word in shlex.split(self.submit) if gpus or GPUS not in word]
        sbatch = [
            "sbatch",
            "--parsable",
            "--job-name=refrad-serve",
            "--comment=rule_serve",
            "--no-requeue",
            "--open-mode=append",
        ]
        sbatch += [f"--output={self.logs.resolve()}/{self.folder.path.name}.log", *words]
        # Slurm's variables of this job do not apply to the new one.
        ours = {
            name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_", "CUDA_"))
        }
        if "SLURM_CONF" in os.environ:
            ours["SLURM_CONF"] = os.environ["SLURM_CONF"]
        try:
            sent = subprocess.run(
                [*sbatch, "--wrap", f"exec {shlex.join(command)}"], env=ours, capture_output=True, text=True
            )
        except FileNotFoundError:
            raise ModelError(
                f"{self.options.name}: there is no sbatch on this node to start a shared server with"
            ) from None
        if sent.returncode != 0:
            raise ModelError(f"{self.options.name}: Slurm refuses a job for the shared server: {sent.stderr.strip()}")
        return sent.stdout.strip().split(";")[0]


def _in_queue(job: str) -> bool:
    """Does Slurm still have the job? A Slurm that does not answer may have."""
    if not job or shutil.which("squeue") is None:
        return False
    listed = subprocess.run(["squeue", "--noheader", "--jobs", job, "--format=%T"], capture_output=True, text=True)
    if listed.returncode != 0:
        return "Invalid job id" not in listed.stderr
    return listed.stdout.strip() in {"PENDING", "CONFIGURING", "RUNNING", "SUSPENDED"}
