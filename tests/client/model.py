"""A Messages API of our own on 127.0.0.1 that says what a script tells it to."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Block = str | dict[str, Any]
"""Words, or {"tool": name, "input": {…}}, or alone in a reply {"error": HTTP status}."""

Script = Mapping[str, Sequence[Sequence[Block]]]
"""Words of a prompt, and the replies that follow it."""

TITLE = json.dumps({"title": "A made-up title", "isNewTopic": True})
SUMMARY = "<analysis>Thought.</analysis>\n<summary>A made-up summary.</summary>"
WARMUP, WARM = "Warmup", "Warm."
NOTHING_LEFT, NO_PROMPT = "The script has no more replies.", "The script has no such prompt."
ASKS_FOR_SUMMARY = ("detailed summary of", "Respond with TEXT ONLY")
USAGE = {"input_tokens": 10, "output_tokens": 10}


def reply_to(request: Mapping[str, Any], script: Script) -> Sequence[Block]:
    """The reply to the newest scripted prompt that comes after those already given."""
    messages = request["messages"]
    newest = _text(messages[-1]["content"])
    if any(words in newest for words in ASKS_FOR_SUMMARY):
        return [SUMMARY]
    if newest == WARMUP:
        return [WARM]
    if not request.get("tools"):
        return [TITLE]
    given = 0
    for message in reversed(messages):
        if message["role"] == "assistant":
            given += 1
            continue
        replies = _scripted(_text(message["content"]), script)
        if replies:
            return replies[given] if given < len(replies) else [NOTHING_LEFT]
    return [NO_PROMPT]


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content or [] if block["type"] == "text")


def _scripted(text: str, script: Script) -> Sequence[Sequence[Block]]:
    """The replies to the last words that the script knows: what the client adds comes before."""
    place, words = max((text.rfind(words), words) for words in script)
    return script[words] if place >= 0 else []


def _block(block: Block) -> dict[str, Any]:
    if isinstance(block, str):
        return {"type": "text", "text": block}
    identity = f"toolu_{uuid.uuid4().hex}"
    return {"type": "tool_use", "id": identity, "name": block["tool"], "input": block["input"]}


def _delta(block: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """How a block begins in a stream, and what is added to it."""
    if block["type"] == "text":
        return {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
    written = json.dumps(block["input"])
    return {**block, "input": {}}, {"type": "input_json_delta", "partial_json": written}


def _events(message: dict[str, Any]) -> list[dict[str, Any]]:
    """A message as the events of a stream."""
    empty = {**message, "content": [], "stop_reason": None}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": empty}]
    for index, block in enumerate(message["content"]):
        start, delta = _delta(block)
        at = {"index": index}
        events += [
            {"type": "content_block_start", **at, "content_block": start},
            {"type": "content_block_delta", **at, "delta": delta},
            {"type": "content_block_stop", **at},
        ]
    stop = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    end = {"type": "message_delta", "delta": stop, "usage": USAGE}
    return [*events, end, {"type": "message_stop"}]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def do_HEAD(self) -> None:
        self._answer(200, b"", "text/plain")

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        if not self.path.partition("?")[0].endswith("/v1/messages"):
            self._answer_json(200, {"input_tokens": 10})
            return
        reply = reply_to(request, self.script)
        if isinstance(reply[0], dict) and "error" in reply[0]:
            error = {"type": "invalid_request_error", "message": "scripted error"}
            self._answer_json(reply[0]["error"], {"type": "error", "error": error})
        else:
            self._say([_block(block) for block in reply], request)

    def _say(self, blocks: list[dict[str, Any]], request: Mapping[str, Any]) -> None:
        uses_tool = any(block["type"] == "tool_use" for block in blocks)
        message = {
            "id": f"msg_{uuid.uuid4().hex}",
            "type": "message",
            "role": "assistant",
            "model": request["model"],
            "content": blocks,
            "stop_reason": "tool_use" if uses_tool else "end_turn",
            "usage": USAGE,
        }
        if request.get("stream"):
            stream = [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in _events(message)]
            self._answer(200, "".join(stream).encode(), "text/event-stream")
        else:
            self._answer_json(200, message)

    def _answer_json(self, status: int, answer: Mapping[str, Any]) -> None:
        self._answer(status, json.dumps(answer).encode(), "application/json")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing on the client's terminal."""


def serve(script: Script) -> int:
    """Answer by the script from now on; returns the port."""
    handler = type("Scripted", (_Handler,), {"script": script})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port
