"""What a caller asks for: the body, with what TabbyAPI would misread made right. Everything else is passed on as it came.

See docs/openai-api.md, which lists each change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from gateway.errors import Refused

CHAT, TEXT, EMBEDDINGS = "chat/completions", "completions", "embeddings"
NEEDED = {CHAT: "messages", TEXT: "prompt", EMBEDDINGS: "input"}
LONGEST_NAME = 255
# What holds a reply to a form that another model could not take up in its middle.
FORMS = ("json_schema", "regex_pattern", "grammar_string")
MOST_TOKENS = 1 << 20  # where the model's context is not known; TabbyAPI takes more than there is room for


@dataclass(frozen=True, slots=True)
class Asked:
    """One call's body. `bound` says what keeps a reply with text from being gone on with by another model; '' if nothing.

    `alias`: the one that was named instead of the model; '' if none was.
    """

    endpoint: str
    model: str
    stream: bool
    usage: bool  # whether the caller wants it in the stream
    bound: str
    body: dict[str, Any]
    alias: str = ""

    @property
    def path(self) -> str:
        """The path of the endpoint at TabbyAPI."""
        return f"/v1/{self.endpoint}"

    def to_send(self, context: int | None) -> dict[str, Any]:
        """Return the body for a model with this context."""
        if self.endpoint == TEXT and self.stream and self.body.get("max_tokens") is None:
            return {**self.body, "max_tokens": context or MOST_TOKENS}
        return self.body

    def to_go_on(self, context: int | None, text: str, tokens: int) -> tuple[dict[str, Any], str]:
        """Return the body, and the prefix, with which a model goes on behind `text`, of so many tokens."""
        body = dict(self.to_send(context))
        for name in ("max_tokens", "max_completion_tokens", "max_length"):
            if type(body.get(name)) is int and body[name] > 0:
                body[name] = max(1, body[name] - tokens)
        if self.endpoint == TEXT:
            prompt = body["prompt"]
            return {**body, "prompt": (prompt if isinstance(prompt, str) else prompt[0]) + text}, ""
        return body, text

    def is_full(self, tokens: int) -> bool:
        """Return whether so many tokens are as many as were asked for."""
        limits = [self.body.get(name) for name in ("max_tokens", "max_completion_tokens", "max_length")]
        return any(type(limit) is int and 0 < limit <= tokens for limit in limits)


def read(endpoint: str, data: bytes) -> Asked:
    """Read a body. Raises Refused (400) where it is no JSON object, or lacks what the endpoint needs."""
    try:
        body = orjson.loads(data)
    except ValueError as error:
        raise Refused(400, "invalid_json", f"The body is not JSON: {error}.") from None
    if not isinstance(body, dict):
        raise Refused(400, "invalid_body", "The body has to be a JSON object.")
    try:
        orjson.dumps(body)  # goes less deep than it reads, and than what writes the body for TabbyAPI
    except TypeError:
        raise Refused(400, "invalid_body", "The body is nested too deeply.") from None
    needed = NEEDED[endpoint]
    if needed not in body:
        raise Refused(400, "missing_required_parameter", f"“{needed}” is missing.", param=needed)
    name, stream = body.pop("model", None), body.get("stream")
    if not isinstance(name, str | None) or len(name or "") > LONGEST_NAME:
        raise Refused(400, "invalid_type", "“model” has to be a name.", param="model")
    if not isinstance(stream, bool | None):
        raise Refused(400, "invalid_type", "“stream” has to be true or false.", param="stream")
    if endpoint == EMBEDDINGS:
        body.pop("stream", None)
        return Asked(endpoint, name or "", False, False, "", body)
    options = body.get("stream_options")
    usage = isinstance(options, dict) and bool(options.get("include_usage"))
    body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    _formats(body)
    if endpoint == CHAT:
        _tools(body)
        _roles(body)
    return Asked(endpoint, name or "", bool(stream), usage, _bound(endpoint, body), body)


def _formats(body: dict[str, Any]) -> None:
    """Write response formats as TabbyAPI does: “json” for json_object, and the schema itself for json_schema."""
    asked = body.get("response_format")
    if not isinstance(asked, dict):
        return
    if asked.get("type") == "json_object":
        body["response_format"] = {**asked, "type": "json"}
    schema = asked.get("json_schema")
    if (
        asked.get("type") == "json_schema"
        and isinstance(schema, dict)
        and isinstance(schema.get("schema"), dict)
    ):
        body["response_format"] = {"type": "json_schema", "json_schema": schema["schema"]}


def _tools(body: dict[str, Any]) -> None:
    """Give tools a description and parameters, without which TabbyAPI refuses them."""
    tools = body.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict):
            function.setdefault("description", "")
            function.setdefault("parameters", {"type": "object", "properties": {}})


def _roles(body: dict[str, Any]) -> None:
    """Call the role “developer” by its older name, which templates know."""
    messages = body["messages"]
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict) and message.get("role") == "developer":
            message["role"] = "system"


def _bound(endpoint: str, body: dict[str, Any]) -> str:
    asked = body.get("response_format")
    kind = asked.get("type") if isinstance(asked, dict) else None
    prompt = body.get("prompt")
    reasons = {
        "tools": body.get("tools") or body.get("functions"),
        "a response format": kind not in (None, "text") or any(body.get(name) for name in FORMS),
        "log probabilities": body.get("logprobs") or body.get("top_logprobs"),
        "several choices": body.get("n") not in (None, 1)
        or (endpoint == TEXT and not isinstance(prompt, str) and not _is_one(prompt)),
        "an answer that was begun": body.get("continue_final_message") or body.get("response_prefix"),
    }
    return next((reason for reason, given in reasons.items() if given), "")


def _is_one(prompt: Any) -> bool:
    return isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str)
