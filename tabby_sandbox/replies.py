"""Composes the replies of the pretend models: the same for the same model and message, token by token.

A reply begins at the end of a given prefix. The model that wrote the prefix goes on exactly where it was cut;
another goes on in its own words.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

from .config import ModelSpec
from .flaws import flawed, pace
from .plain_answers import plain_answer

_TOKEN = re.compile(r" ?\w{1,6}|\s+|[^\w\s]")
_WORD = re.compile(r"\s*\S+|\s+")
_ITEM = r"(?:echo|stamp|tool|(?:tokens|rate|size|reasoning|prefill|repeat)=[\d.]+)"
_DIRECTIVE = re.compile(rf"\s*\[\[\s*({_ITEM}(?:\s+{_ITEM})*)\s*\]\]")
_STAMPED = re.compile(r" w(\d+)@\d+")
_ECHO_MAX = 1_000_000  # characters
_THINK, _THINK_END = "<think>", "</think>"


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
    if prefix.startswith(_THINK):
        prefix = prefix.partition(_THINK_END)[2].lstrip("\n")
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
        reasoning, prefix = _reasoning(model, message, prefix)
    whole = message if directive is not None else full_reply(model, message)
    rest = whole[len(prefix) :] if whole.startswith(prefix) else _continuation(model, message, prefix)
    # Made one by one as they are sent: other streams would wait for all of a long reply's.
    thoughts, words = _TOKEN.findall(reasoning), _TOKEN.findall(rest)
    tokens = chain((Token(text, reasoning=True) for text in thoughts), (Token(text) for text in words))
    return tokens, len(thoughts) + len(words)


def _reasoning(model: ModelSpec, message: str, prefix: str) -> tuple[str, str]:
    """Return the reasoning still to be written, and the prefix of the answer.

    A prefix without `<think>` is taken for a part of the answer.
    """
    whole = (
        f"The user writes: “{_quote(message)}”. I am {model.name}, a pretend model, so I cannot look "
        "anything up. A short greeting, what I am, a list, and some code should do."
    )
    if not prefix:
        return whole, ""
    if not prefix.startswith(_THINK):
        return "", prefix
    written, closed, answer = prefix.removeprefix(_THINK).partition(_THINK_END)
    if closed:
        return "", answer.lstrip("\n")
    written = written.lstrip("\n")
    return (whole[len(written) :] if whole.startswith(written) else whole), ""


def _continuation(model: ModelSpec, message: str, prefix: str) -> str:
    """Return how a model continues another model's reply, from where its own part of the prefix ends."""
    core = (
        f"\n\nFrom here on, **{model.name}** continues: the model was switched in the middle of this reply, "
        f"and what stands above was written by another one.\n\n{_closing(model, message)}"
    )
    for size in range(min(len(core), len(prefix)), 4, -1):
        if prefix.endswith(core[:size]):
            return core[size:]
    return ("\n```" if prefix.count("```") % 2 else "") + core


def full_reply(model: ModelSpec, message: str) -> str:
    """Return the whole Markdown reply of a model to a message, which is the same each time."""
    if model.reply is not None:
        return model.reply.replace("{model}", model.name).replace("{message}", message)
    opening = _OPENINGS[_pick(model, message, len(_OPENINGS))].format(model=model.name, quote=_quote(message))
    return f"{opening}\n\n{_facts(model)}\n\n{_code(model, message)}\n\n{_closing(model, message)}"


_OPENINGS = (
    "You wrote: *“{quote}”*. Thank you! I am **{model}**, or rather a stand-in that borrows its name, so "
    "that the way from your page to the model and back can be tried without a graphics card.",
    "Good question. To *“{quote}”* a real **{model}** would give a real answer; I am its understudy, and "
    "give you a text of about the right length and shape, at about the right speed.",
    "Let me take *“{quote}”* step by step. You are talking to **{model}**, as played by a small server. It "
    "knows nothing of the world, but it streams like the original.",
)
_CLOSINGS = (
    "Ask again, or switch the model and see who answers. What you send meanwhile waits in line and is "
    "answered as soon as the next model is ready.",
    "That is all I have to say, but do try a longer conversation: the same words from you bring the same "
    "words from me, and a cut reply goes on where it stopped.",
    "If this reply was interrupted by a switch, look closely: nothing should be missing, and nothing should "
    "be said twice.",
)


def _facts(model: ModelSpec) -> str:
    speed = f"{model.tokens_per_second:g} tokens a second" if model.tokens_per_second else "as fast as it can"
    extras = [name for name, on in (("images", model.vision), ("reasoning", model.reasoning)) if on]
    return (
        "What is known about this model:\n\n"
        f"- **Name:** `{model.name}`\n"
        f"- **Size:** {model.size_gb:g} GB in {model.modules} modules\n"
        f"- **Context:** {model.max_seq_len:,} tokens\n"
        f"- **Pace:** {speed}\n"
        f"- **Extras:** {', '.join(extras) or 'none'}"
    )


def _code(model: ModelSpec, message: str) -> str:
    snippets = (
        f'```python\ndef greet(name: str) -> str:\n    """Say who is speaking."""\n'
        f'    return f"Hello {{name}}, this is {model.name}."\n\n\nprint(greet("world"))\n```',
        '```bash\n# Which model is loaded right now?\ncurl -s "$TABBY_HOST/v1/model" \\\n'
        '  -H "Authorization: Bearer $TABBY_API_KEY" | jq .id\n```',
        '```javascript\nconst socket = new WebSocket("/ws/chat/");\nsocket.onmessage = ({ data }) => {\n'
        "  const event = JSON.parse(data);\n  console.log(event.type, event);\n};\n```",
    )
    return (
        f"And since no demonstration is complete without code:\n\n{snippets[_pick(model, message + '#', 3)]}"
    )


def _closing(model: ModelSpec, message: str) -> str:
    return _CLOSINGS[_pick(model, message + "!", len(_CLOSINGS))]


def _quote(message: str) -> str:
    """Return a part of the message that is safe inside a sentence of Markdown."""
    words = re.sub(r"[^\w\s.,:;?!'’-]", "", message.replace("_", " "))
    short = " ".join(words.split())
    return short if len(short) <= 60 else short[:57].rsplit(" ", 1)[0] + " …"


def _pick(model: ModelSpec, message: str, count: int) -> int:
    return zlib.crc32(f"{model.name}\n{message}".encode()) % count
