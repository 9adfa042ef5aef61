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
from typing import Any

from refrad.config import ModelOptions
from refrad.core.files import digest_bytes
from refrad.llm.endpoint import ModelError, ServerLostError, try_completion
from refrad.llm.server_leases import Lease

__all__ = ["Place", "SharedServer", "release"]

POLL = 1.0  # seconds between looks whether the server is ready
LOG_SECONDS = 60.0  # seconds between lines in the log
TRIES = 3  # servers that may vanish before they are ready
GPUS = "{gpus}"  # in the words for sbatch: replaced by the number of GPUs

log = logging.getLogger(__name__)


class Place:
    """The folder in which a server and its users meet; only its owner can read it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.users = folder / "users"
        self.users.mkdir(exist_ok=True)
        self.endpoint = Lease(folder / "endpoint.json")  # address and key of the server
        self.starting = Lease(folder / "starting.json")  # a server on its way: the number of its Slurm job, if any
        self.failed = Lease(folder / "failed.json")  # why the last one did not come up
        self.model = Lease(folder / "model.json")  # options of the served model

    @staticmethod
    def of(options: ModelOptions, servers: Path) -> "Place":
        """The place for a model: the same for all roles that differ in request options only."""
        identity = options.server.model_dump(mode="json") | {"model": options.model}
        digest = digest_bytes(json.dumps(identity, sort_keys=True).encode())
        return Place(servers / f"{options.name}-{digest[:8]}")

    def user(self) -> Lease:
        """The file of a process that uses the server."""
        return Lease(self.users / f"{socket.gethostname()}.{os.getpid()}.json")

    def used(self) -> bool:
        """Does a process use the server?"""
        return any(Lease(path).holds() for path in self.users.glob("[!.]*.json"))


def release(servers: Path) -> None:
    """End the servers without users now, before their time `idle` is over."""
    for folder in servers.glob("*/"):
        meeting = Place(folder)
        if not meeting.used():
            meeting.endpoint.drop()


class SharedServer:
    """A job's share in a server. `submit`: the site's words for sbatch; empty on a machine without Slurm."""

    def __init__(self, options: ModelOptions, servers: Path, logs: Path, submit: str) -> None:
        self.options, self.logs, self.submit = options, logs, submit
        self.place = Place.of(options, servers)
        self._user = self.place.user()
        self._here = ExitStack()
        self._endpoint: dict[str, Any] = {}

    def connect(self) -> tuple[str, str]:
        """Endpoint and key of the server; waits until there is one, and starts it if no other job does.

        Raises:
            ModelError: if it does not come up; the message has the reason.
        """
        self._join()
        tries, waiting, logged = 0, False, time.monotonic()
        while not self._serves():
            if self._is_coming():
                waiting = True
            elif waiting and (failed := self.place.failed.read()):
                raise ModelError(failed["why"])
            elif not self.place.endpoint.holds():
                if tries == TRIES:
                    raise ModelError(
                        f"{self.options.name}: {tries} servers ended before they were ready: see {self.logs}"
                    )
                tries += self._start()
                waiting = True  # it may fail before the next look
            if time.monotonic() - logged > LOG_SECONDS:
                logged = time.monotonic()
                job = (self.place.starting.read() or {}).get("job")
                log.info("%s: waits for its server%s", self.options.name, f", Slurm job {job}" if job else "")
            time.sleep(POLL)
        log.info("%s: uses the server of %s", self.options.name, self._endpoint["by"])
        return self._endpoint["address"], self._endpoint["key"]

    def check(self) -> None:
        """Raise ServerLostError if the server is gone, or another has taken its place."""
        now = self.place.endpoint.read()
        if now is None or now["key"] != self._endpoint["key"] or not self.place.endpoint.holds():
            raise ServerLostError(f"{self.options.name}: the server of {self._endpoint['by']} is gone: see {self.logs}")

    def leave(self) -> None:
        """Stop counting as a user."""
        self._here.close()
        self._user.drop()

    def _join(self) -> None:
        if not self._user.holds():
            self._user.write({})
            self._here.enter_context(self._user.renewed())

    def _serves(self) -> bool:
        """Is there a server that completes a text?"""
        endpoint = self.place.endpoint.read()
        if endpoint is None:
            return False
        status = try_completion(endpoint["address"], endpoint["key"], self.options.name)
        if 400 <= status < 500 and self.place.endpoint.read() == endpoint:
            raise ModelError(f"{self.options.name}: the server refuses a first request ({status}): see {self.logs}")
        self._endpoint = endpoint
        return status == 200

    def _is_coming(self) -> bool:
        """Is a server starting, or its job waiting in the queue?"""
        if self.place.starting.holds():
            return True
        coming = self.place.starting.read()
        return bool(coming and _in_queue(coming.get("job", "")))

    def _start(self) -> bool:
        """Start a server, unless another job was faster."""
        if self.place.starting.read() is not None:
            if self._is_coming():
                return False
            log.info("%s: a server vanished while it started", self.options.name)
            self.place.starting.drop()
        if not self.place.starting.take({}):
            return False
        if self.place.endpoint.holds():  # it was ready a moment ago
            self.place.starting.drop()
            return False
        self.place.endpoint.drop()  # of a dead server
        self.place.failed.drop()
        self.place.model.write(self.options.model_dump(mode="json"))
        self.logs.mkdir(parents=True, exist_ok=True)
        try:
            with self.place.starting.renewed():
                job = self._hand_over()
        except BaseException:
            self.place.starting.drop()
            raise
        log.info("%s: starts its server, %s", self.options.name, f"Slurm job {job}" if job else "on this machine")
        if job and self.place.starting.read() == {}:
            self.place.starting.write({"job": job})
        return True

    def _hand_over(self) -> str:
        """Start `refrad serve` so that it outlives this job; the number of its Slurm job, or "" if it is none."""
        command = [sys.executable, "-m", "refrad", "serve"]
        command += ["--place", str(self.place.folder.resolve()), "--logs", str(self.logs.resolve())]
        if not self.submit:
            if "SLURM_JOB_ID" in os.environ:
                raise ModelError(
                    f"{self.options.name}: no command for starting a shared server is configured: give llm_server in the profile, as"
                    " profiles/slurm has it"
                )
            with (self.logs / f"{self.place.folder.name}.log").open("ab") as file:
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
        sbatch += [f"--output={self.logs.resolve()}/{self.place.folder.name}.log", *words]
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
