"""Stands in for vLLM where a test is about servers that come and go: started in the same way, it answers at once and always the
same. Rewriting changes nothing, mentions are what the lexicon knows; a request without a form gets a word.
"""

import argparse
import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from refrad.anatomy.lexicon import load_lexicon
from refrad.language.mention_finder import find_mentions
from refrad.language.sections import detect_language

LEXICON = load_lexicon(Path(__file__).parents[6] / "workflow" / "anatomy" / "lexicon.yaml")
KEY, SECONDS, HEARD = os.environ["VLLM_API_KEY"], float(os.environ["STANDIN_SECONDS"]), os.environ["STANDIN_HEARD"]


def answer(body):
    if "response_format" not in body:
        return "Hello"
    sentence = json.loads(body["messages"][1]["content"])["sentence"]
    task = body["response_format"]["json_schema"]["name"]
    if task != "mentions":
        return json.dumps({{"rewrite": "sentence", "echo": "said"}[task]: sentence}, ensure_ascii=False)
    found = find_mentions(sentence, detect_language(sentence), LEXICON)
    mentions = [{"span": one.text, "classes": one.classes, "assertion": one.assertion} for one in found]
    return json.dumps({"mentions": mentions}, ensure_ascii=False)


class Talk(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Bearer {KEY}":
            self.reply(401, {})
            return
        if "response_format" in body:
            time.sleep(SECONDS)
        message = {"role": "assistant", "content": answer(body)}
        usage = {"prompt_tokens": 10, "completion_tokens": 5}
        self.reply(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage})
        if "response_format" in body:
            with Path(HEARD).open("a") as heard:  # one line for each answer that went out
                heard.write(f"{os.getpid()} {body['messages'][1]['content']!r}\n")

    def reply(self, status, value):
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Says nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 256


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    given, _ = parser.parse_known_args()
    print("Application startup complete", flush=True)
    Server((given.host, given.port), Talk).serve_forever()
