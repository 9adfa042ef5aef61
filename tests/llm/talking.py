"""A server that speaks as OpenAI does, and as badly as a test wants, in a thread of its own."""

import asyncio
import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any


class Hang(Exception):
    """Never answer this one."""


class Cut(Exception):
    """Close the connection in the middle of the reply."""


def completion(content: str | None, finish: str = "stop") -> tuple[int, dict, bytes]:
    """A good reply with `content` as the model's text."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    return 200, {}, json.dumps({"choices": [choice], "usage": usage}).encode()


class TalkingServer:
    """`behave(body)` gives status, headers and bytes of each reply, or raises Hang or Cut."""

    def __init__(self, behave: Callable[[dict[str, Any]], tuple[int, dict, bytes]], latency: float = 0.0) -> None:
        self.behave, self.latency = behave, latency
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.under_way = self.most_under_way = self.connections = 0
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait()
        self.endpoint = f"http://127.0.0.1:{self.port}/v1"

    def _run(self, ready: threading.Event) -> None:
        async def serve() -> None:
            server = await asyncio.start_server(self._talk, "127.0.0.1", 0, backlog=1024)
            self.port = server.sockets[0].getsockname()[1]
            self._stop = asyncio.Event()
            ready.set()
            await self._stop.wait()

        self._loop.run_until_complete(serve())
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = [line.split(":", 1) for line in head.decode().split("\r\n")[1:] if ":" in line]
                length = {name.lower(): value.strip() for name, value in lines}.get("content-length")
                if length is None:  # a GET of its models
                    writer.write(b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n")
                    continue
                body = json.loads(await reader.readexactly(int(length)))
                self.bodies.append(body)
                content = body["messages"][min(1, len(body["messages"]) - 1)]["content"]
                self.asked[content if isinstance(content, str) else json.dumps(content)] += 1
                self.under_way += 1
                self.most_under_way = max(self.most_under_way, self.under_way)
                try:
                    await asyncio.sleep(self.latency)
                    status, headers, content = self.behave(body)
                except Hang:
                    await asyncio.sleep(3600)
                except Cut:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b'{"choices": [{"mess')
                    await writer.drain()
                    return
                finally:
                    self.under_way -= 1
                lines = [
                    f"HTTP/1.1 {status} x",
                    f"Content-Length: {len(content)}",
                    *(f"{k}: {v}" for k, v in headers.items()),
                ]
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.connections -= 1
            writer.close()


TASKS = ("rewrite", "translate", "judge", "mentions", "qa")


@contextlib.contextmanager
def answering(answer: Callable[[dict[str, Any]], Any]) -> Iterator[TalkingServer]:
    """A server whose answers are made of the data of each request."""
    server = TalkingServer(
        lambda body: completion(json.dumps(answer(json.loads(body["messages"][1]["content"])), ensure_ascii=False))
    )
    try:
        yield server
    finally:
        server.stop()


def llm_line(server: TalkingServer, root: Path, folder: Path, roles: Sequence[str]) -> str:
    """What the workflow hands to a stage as --llm, with one model for all roles."""
    model = {"endpoint": server.endpoint, "model": "wise-1b"}
    places = {"prompts": str(root / "workflow" / "prompts"), "store": str(folder / "llm"), "log": str(folder / "log")}
    return json.dumps(places | {"roles": dict.fromkeys(roles, model)})
