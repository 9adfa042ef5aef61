"""How busy the client keeps a server, against a load generator that does nothing but send: same server, same run.

python benchmarks/llm.py

The server is a process of its own that answers each request after a fixed time, however many there are. The client does all
that it does in a stage: digests, claims, checks, the store. Both send one after the other, twice.
"""

import asyncio
import json
import multiprocessing
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp

from refrad.config import ModelOptions
from refrad.llm import Answer, Request, Task
from refrad.llm.client import Client
from refrad.llm.store import Store

LATENCY = 0.5  # seconds
CONCURRENCY = 64
REQUESTS = 1280  # 20 times the concurrency
PROMPT = "You edit sentences of radiology reports. " * 80


class Sentence(Answer):
    """The form of the answers."""

    sentence: str


def serve(ready: Connection) -> None:
    """Answer every request with the same words after LATENCY."""
    choice = {"message": {"content": json.dumps({"sentence": "The spleen is normal."})}, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice], "usage": {"prompt_tokens": 800, "completion_tokens": 10}}).encode()
    reply = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if head.startswith(b"POST"):  # the client first asks for the list of models, without a body
                    await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
                await asyncio.sleep(LATENCY)
                writer.write(reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0, backlog=1024)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def generate(url: str, bodies: list[bytes]) -> None:
    """The load generator: CONCURRENCY workers that send ready bodies and read the replies."""
    waiting = iter(bodies)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def work() -> None:
            for body in waiting:
                async with session.post(url, data=body) as response:
                    await response.read()

        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))


def main() -> None:
    """Print requests per second of both, and the ratio."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    endpoint = f"http://127.0.0.1:{ours.recv()}/v1"
    task = Task("rewrite", "rewrite", {"de": PROMPT, "en": PROMPT}, Sentence, tokens=100)
    options = ModelOptions(endpoint=endpoint, model="fixed", concurrency=CONCURRENCY)
    seconds = {"load generator": 0.0, "client": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        client = Client(options, store, lambda: (endpoint, None))
        for turn in range(2):
            requests = [Request("en", {"sentence": f"Sentence {turn} {number}."}) for number in range(REQUESTS)]
            bodies = [json.dumps(client.body(task, one) | {"max_tokens": 100}).encode() for one in requests]
            start = time.perf_counter()
            asyncio.run(generate(f"{endpoint}/chat/completions", bodies))
            middle = time.perf_counter()
            answers = [reply.answer for reply in client.ask(task, requests)]
            seconds["client"] += time.perf_counter() - middle
            seconds["load generator"] += middle - start
            if None in answers:
                raise SystemExit("a request was not answered")
        client.close()
        store.close()
    server.terminate()
    rates = {name: 2 * REQUESTS / value for name, value in seconds.items()}
    ratio = rates["client"] / rates["load generator"]
    best = CONCURRENCY / LATENCY
    print(", ".join(f"{name} {rate:.0f} requests/s" for name, rate in rates.items()), f"of {best:.0f}: {ratio:.3f}")


if __name__ == "__main__":
    main()
