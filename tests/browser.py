"""A headless Chromium for tests, spoken to in its DevTools protocol through two pipes: no driver, no port, no package."""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SECONDS = 300.0  # a page may take; a busy machine is slow


class Browser:
    """One page. Messages are JSON, each ended by a zero byte; see chromedevtools.github.io/devtools-protocol."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back, self._left, self._number = to, back, b"", 0
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """What a method of the protocol gives back."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session and not method.startswith("Browser.") else {}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (reply := self._reply()).get("id") != self._number:
            pass  # events, which nobody asked for
        assert "error" not in reply, reply
        return reply["result"]

    def _reply(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            part = os.read(self._back, 1 << 16)
            assert part, "the browser has ended"
            self._left += part
        text, self._left = self._left.split(b"\0", 1)
        return json.loads(text)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def open(self, page: Path) -> None:
        """Show a file, and wait until it is there."""
        self.call("Page.navigate", url=page.as_uri())
        wait_for(lambda: self.run("document.readyState") == "complete" and self.run("location.protocol") == "file:")


def wait_for(ready: Any) -> None:
    """Wait until something is so."""
    end = time.monotonic() + SECONDS
    while not ready():
        assert time.monotonic() < end, "the browser took too long"
        time.sleep(0.05)


@contextlib.contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    """A browser with a fresh profile; the test is skipped where there is none."""
    program = next((path for name in NAMES if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip("needs Chromium to click in a page")
    (reading, to), (back, writing) = os.pipe(), os.pipe()
    theirs_in, theirs_out = (fcntl.fcntl(one, fcntl.F_DUPFD, 10) for one in (reading, writing))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    command = [program, *flags, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]

    def as_three_and_four() -> None:  # Chromium reads from 3 and writes to 4
        os.dup2(theirs_in, 3)
        os.dup2(theirs_out, 4)

    process = subprocess.Popen(
        command,
        preexec_fn=as_three_and_four,
        pass_fds=(3, 4),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for one in (reading, writing, theirs_in, theirs_out):
        os.close(one)
    try:
        yield Browser(to, back)
    finally:
        process.terminate()
        process.wait()
        os.close(to)
        os.close(back)
