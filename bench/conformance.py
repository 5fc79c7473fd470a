"""Holds the OpenAI-compatible API against OpenAI's own description of it: `make conformance`.

Starts a Gantry and a sandbox. Then the chat part of llm-comply calls it, and each kind of answer that Gantry gives is
compared with its schema in OpenAI's description, which llm-comply brings along. Says what passes and what does not; the
exit status is 1 when something fails that EXPECTED does not explain.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import llm_comply
from llm_comply.config import ComplianceConfig
from llm_comply.runner import TestRunner
from llm_comply.schema import SpecLoader
from llm_comply.test_case import TestCase
from llm_comply.tests.openai_chat import OPENAI_CHAT_TESTS

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # the tests know how to run a Gantry, and how to be somebody in it

from support.api_calls import Caller  # noqa: E402
from support.people import Person  # noqa: E402
from support.tabby import running, until  # noqa: E402
from system.running import Gantry  # noqa: E402

PASSWORD = "only-for-this-run"
NAME = "deepseek-r-8B"  # llm-comply asks models of certain names alone for their thoughts
MODELS = f"""
[server]
initial_model = "{NAME}"
embedding_model = "embed-1"
[[model]]
name = "{NAME}"
tool_format = true
vision = true
reasoning = true
seconds_per_module = 0.0
tokens_per_second = 0
"""
# What does not pass, and why.
EXPECTED = {
    "chat-error-handling": "it names no model and expects a 400; Gantry takes the model that is loaded",
    "chunks of a text completion": "each needs a finish_reason, it says; OpenAI itself sends null until the last",
}
ANSWERS = {
    "models": "ListModelsResponse",
    f"models/{NAME}": "Model",
    "models/gpt-4o": "ErrorResponse",
}
CHAT = {"messages": [{"role": "user", "content": "[[tokens=5]]"}]}
CALLS: list[tuple[str, str, dict[str, Any], str]] = [
    ("a chat", "chat/completions", CHAT, "CreateChatCompletionResponse"),
    ("log probabilities", "chat/completions", {**CHAT, "logprobs": True}, "CreateChatCompletionResponse"),
    ("two choices", "chat/completions", {**CHAT, "n": 2}, "CreateChatCompletionResponse"),
    ("a text completion", "completions", {"prompt": "[[tokens=5]]"}, "CreateCompletionResponse"),
    ("embeddings", "embeddings", {"input": "a text"}, "CreateEmbeddingResponse"),
    ("a refusal", "chat/completions", {}, "ErrorResponse"),
]
STREAMS: list[tuple[str, str, dict[str, Any], str]] = [
    ("chunks of a chat", "chat/completions", CHAT, "CreateChatCompletionStreamResponse"),
    (
        "chunks with usage",
        "chat/completions",
        {**CHAT, "stream_options": {"include_usage": True}},
        "CreateChatCompletionStreamResponse",
    ),
    (
        "chunks with a tool's call",
        "chat/completions",
        {
            "messages": [{"role": "user", "content": "[[tool]]"}],
            "tools": [{"type": "function", "function": {"name": "get_time"}}],
        },
        "CreateChatCompletionStreamResponse",
    ),
    (
        "chunks with log probabilities",
        "chat/completions",
        {**CHAT, "logprobs": True, "top_logprobs": 2},
        "CreateChatCompletionStreamResponse",
    ),
    ("chunks of a text completion", "completions", {"prompt": "[[tokens=5]]"}, "CreateCompletionResponse"),
]


@dataclass(frozen=True)
class Found:
    """What came of one comparison."""

    name: str
    errors: list[str]
    warnings: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        """The same in words."""
        if self.errors:
            return f"FAILS   {self.name}: {EXPECTED.get(self.name) or '; '.join(self.errors)}"
        return f"passes  {self.name}" + "".join(f"\n          {each}" for each in self.warnings)


def main() -> int:
    """Run it; return the exit status."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec = _description(folder / "openai.json")
        settings = {"GANTRY_ADMIN_PASSWORD": PASSWORD, "LOG_LEVEL": "WARNING"}
        with (
            running(folder, MODELS) as (tabby, _),
            Gantry(folder, TABBY_HOST=tabby.url, **settings) as gantry,
        ):
            caller = Caller(gantry.url, Person(gantry.url, "admin", PASSWORD).token("chat"))
            until(lambda: NAME in caller.get("models").text, "the model")
            found = [*_complied(caller, spec), *_fitting(caller, spec)]
            gantry.end()
    for each in found:
        print(each.line)
    print(f"{sum(not each.errors for each in found)} of {len(found)} pass")
    return 1 if any(each.errors and each.name not in EXPECTED for each in found) else 0


def _description(path: Path) -> SpecLoader:
    """OpenAI's description, kept at `path`. What it calls nullable may be null, whatever else it says there."""
    spec = json.loads((Path(llm_comply.__file__).parent / "specs" / "openai_chat.json").read_text())
    path.write_text(json.dumps(_nullable(spec)))
    return SpecLoader(str(path))


def _nullable(schema: Any) -> Any:
    """The same schema in JSON Schema's words, where it is OpenAPI 3.0's."""
    if isinstance(schema, list):
        return [_nullable(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: _nullable(each) for name, each in schema.items() if name != "nullable"}
    return {"anyOf": [inner, {"type": "null"}]} if schema.get("nullable") is True else inner


def _complied(caller: Caller, spec: SpecLoader) -> Iterator[Found]:
    """What llm-comply's tests of chats say."""
    config = ComplianceConfig(f"{caller.url}/v1", caller.token, NAME)
    tests = [_told(case) if case.id == "chat-tool-calling" else case for case in OPENAI_CHAT_TESTS]
    runner = TestRunner(config, tests, spec)
    for result in map(runner.run_one, tests):
        yield Found(result.id, result.errors, result.warnings)


def _told(case: TestCase) -> TestCase:
    """The same test for the sandbox, which calls a tool where the message tells it to."""

    def build(config: ComplianceConfig) -> dict[str, Any]:
        body = case.build_request(config)
        body["messages"][-1]["content"] = f"[[tool]]{body['messages'][-1]['content']}"
        return body

    return replace(case, build_request=build)


def _fitting(caller: Caller, spec: SpecLoader) -> Iterator[Found]:
    """How each kind of answer differs from its schema."""
    for path, schema in ANSWERS.items():
        yield Found(f"GET {path}", spec.validate(caller.get(path).json(), schema))
    for name, path, body, schema in CALLS:
        yield Found(name, spec.validate(caller.post(path, {"model": "", **body}).json(), schema))
    for name, path, body, schema in STREAMS:
        answer = caller.post(path, {"model": "", "stream": True, **body})
        events = [
            line.removeprefix("data: ") for line in answer.text.split("\n") if line.startswith("data: ")
        ]
        assert events.pop() == "[DONE]"
        yield Found(
            name, sorted({each for event in events for each in spec.validate(json.loads(event), schema)})
        )


if __name__ == "__main__":
    raise SystemExit(main())
