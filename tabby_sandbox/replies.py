"""Composes the replies of the pretend models: the same for the same model and message, token by token.

A reply begins at the end of a given prefix. The model that wrote the prefix goes on exactly where it was cut;
another goes on in its own words.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

from .config import ModelSpec
from .flaws import flawed, pace
from .plain_answers import plain_answer
from .prose import THINK, THINK_END, continuation, full_reply, reasoning_left

_TOKEN = re.compile(r" ?\w{1,6}|\s+|[^\w\s]")
_WORD = re.compile(r"\s*\S+|\s+")
_ITEM = r"(?:echo|stamp|tool|(?:tokens|rate|size|reasoning|prefill|repeat)=[\d.]+)"
_DIRECTIVE = re.compile(rf"\s*\[\[\s*({_ITEM}(?:\s+{_ITEM})*)\s*\]\]")
_STAMPED = re.compile(r" w(\d+)@\d+")
_ECHO_MAX = 1_000_000  # characters


@dataclass(frozen=True)
class Token:
    """A piece of a reply: text, reasoning or a tool call."""

    text: str
    reasoning: bool = False
    tool: bool = False  # `text` is a tool's name, which is called
    index: int = 0  # of the choice that it belongs to


@dataclass(frozen=True)
class Reply:
    """What a generation will send. `rate`: tokens per second, 0 = as fast as can be; `prefill`: seconds."""

    tokens: Iterable[Token]
    finish_reason: str
    rate: float
    prefill: float
    prompt_tokens: int
    choices: int = 1
    logprobs: bool = False

    def as_choices(self, count: int, *, logprobs: bool) -> Reply:
        """Return the same reply so many times, token by token side by side."""
        tokens = self.tokens
        if count > 1:
            tokens = (replace(token, index=index) for token in self.tokens for index in range(count))
        return replace(self, tokens=tokens, choices=count, logprobs=logprobs)


@dataclass(frozen=True)
class Directive:
    """`[[tokens=500 rate=50 size=4 stamp reasoning=0 prefill=0 tool]]` or `[[echo repeat=1]]…` at the start of a message."""

    tokens: int | None
    rate: float | None
    prefill: float | None
    size: int
    reasoning: int
    stamp: bool
    tool: bool
    echo: str | None


def parse_directive(message: str) -> Directive | None:
    match = _DIRECTIVE.match(message)
    if match is None:
        return None
    values: dict[str, float] = {}
    for item in match[1].split():
        key, _, value = item.partition("=")
        try:
            values[key] = float(value or 0)
        except ValueError:
            return None
    return Directive(
        tokens=int(values["tokens"]) if "tokens" in values else None,
        rate=values.get("rate"),
        prefill=values.get("prefill"),
        size=int(values.get("size", 0)),
        reasoning=int(values.get("reasoning", 0)),
        stamp="stamp" in values,
        tool="tool" in values,
        echo=_echo(message[match.end() :], values.get("repeat", 1)) if "echo" in values else None,
    )


def split_directive(prompt: str) -> tuple[str, str]:
    """Return a prompt's directive, '' where it has none, and what stands behind it."""
    match = _DIRECTIVE.match(prompt)
    return (prompt[: match.end()], prompt[match.end() :]) if match else ("", prompt)


def _echo(text: str, times: float) -> str:
    """Return `text` `times` times, as far as _ECHO_MAX allows, at least once."""
    return text * int(max(1, min(times, _ECHO_MAX // max(1, len(text)))))


def compose(
    model: ModelSpec, messages: list[dict[str, Any]], prefix: str, max_tokens: int | None, rate: float | None
) -> Reply:
    """Return the reply of `model` to `messages`, from where `prefix` ends, with `max_tokens` at most.

    `rate` (tokens/s) replaces the model's own; a directive in the last user message replaces both.
    """
    message = last_user_text(messages)
    directive = parse_directive(message)
    speed = model.tokens_per_second if rate is None else rate
    prefill = model.prefill_seconds
    if directive is not None:
        speed = directive.rate if directive.rate is not None else speed
        prefill = directive.prefill or 0.0
    tool = directive is not None and directive.tool and model.flaw != "no_tools"
    plain = plain_answer(message)
    if directive is not None and directive.tokens is not None:
        tokens, count = _words(directive, prefix)
    elif plain is not None:
        texts, speed = _TOKEN.findall(plain), model.plain_rate
        tokens, count = (Token(text) for text in texts), len(texts)
    else:
        tokens, count = _prose(
            model, message if directive is None else directive.echo or "", prefix, directive
        )
    if model.flaw:
        said = list(
            islice(flawed(model.flaw, (token.text for token in tokens)), (max_tokens or count * 99) + 1)
        )
        tokens, count, speed = map(Token, said), len(said), pace(model.flaw, speed, model.tokens_per_second)
    if tool:
        tokens, count = chain(tokens, [_tool_call(model)]), count + 1
    cut = max_tokens is not None and count > max_tokens
    reason = "tool_calls" if tool and model.tool_format else "stop"
    return Reply(
        tokens=islice(tokens, max_tokens) if cut else tokens,
        finish_reason="length" if cut else reason,
        rate=speed,
        prefill=prefill,
        prompt_tokens=prompt_size(messages) + len(prefix) // 4,
    )


def _tool_call(model: ModelSpec) -> Token:
    """Return a tool call: parsed where the server knows the model's format, else as the model writes it."""
    if model.tool_format:
        return Token("get_time", tool=True)
    return Token('<tool_call>{"name": "get_time", "arguments": {}}</tool_call>')


def last_user_text(messages: list[dict[str, Any]]) -> str:
    for message in reversed(messages):
        if message.get("role") == "user":
            return text_of(message)
    return ""


def text_of(message: dict[str, Any]) -> str:
    """Return the text of a message whose content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def prompt_size(messages: list[dict[str, Any]]) -> int:
    """Return the tokens of a prompt: one for four characters, and four more for each message."""
    return sum(len(text_of(message)) // 4 + 4 for message in messages)


def _words(directive: Directive, prefix: str) -> tuple[Iterator[Token], int]:
    """Return numbered words ` w1 w2 …`, each of `size` characters at least, and their count; the first are reasoning."""
    count, width = directive.tokens or 0, max(directive.size - 2, 0)
    if prefix.startswith(THINK):
        prefix = prefix.partition(THINK_END)[2].lstrip("\n")
    thoughts = min(directive.reasoning, count)
    if directive.stamp:
        written = max((int(number) for number in _STAMPED.findall(prefix)), default=0)
        return _stamped(range(written + 1, count + 1)), max(count - written, 0)
    if prefix:
        whole = "".join(f" w{number:0{width}d}" for number in range(thoughts + 1, count + 1))
        rest = whole[len(prefix) :] if whole.startswith(prefix) else ""
        words = _WORD.findall(rest)
        return (Token(word) for word in words), len(words)
    numbers = range(1, count + 1)
    return (Token(f" w{number:0{width}d}", number <= thoughts) for number in numbers), count


def _stamped(numbers: Iterable[int]) -> Iterator[Token]:
    """Yield words ` w1@T`, where T is the time of sending in microseconds since 1970, so that a reader sees delays."""
    for number in numbers:
        yield Token(f" w{number}@{time.time_ns() // 1000}")


def _prose(
    model: ModelSpec, message: str, prefix: str, directive: Directive | None
) -> tuple[Iterator[Token], int]:
    reasoning = ""
    if model.reasoning and directive is None:
        reasoning, prefix = reasoning_left(model, message, prefix)
    whole = message if directive is not None else full_reply(model, message)
    rest = whole[len(prefix) :] if whole.startswith(prefix) else continuation(model, message, prefix)
    # Made one by one as they are sent: other streams would wait for all of a long reply's.
    thoughts, words = _TOKEN.findall(reasoning), _TOKEN.findall(rest)
    tokens = chain((Token(text, reasoning=True) for text in thoughts), (Token(text) for text in words))
    return tokens, len(thoughts) + len(words)
