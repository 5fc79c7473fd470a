"""What the pretend models say by themselves: a Markdown reply of some length, the same for the same model and message."""

from __future__ import annotations

import re
import zlib

from .config import ModelSpec

THINK, THINK_END = "<think>", "</think>"


def reasoning_left(model: ModelSpec, message: str, prefix: str) -> tuple[str, str]:
    """Return the reasoning still to be written, and the prefix of the answer.

    A prefix without `<think>` is taken for a part of the answer.
    """
    whole = (
        f"The user writes: “{_quote(message)}”. I am {model.name}, a pretend model, so I cannot look "
        "anything up. A short greeting, what I am, a list, and some code should do."
    )
    if not prefix:
        return whole, ""
    if not prefix.startswith(THINK):
        return "", prefix
    written, closed, answer = prefix.removeprefix(THINK).partition(THINK_END)
    if closed:
        return "", answer.lstrip("\n")
    written = written.lstrip("\n")
    return (whole[len(written) :] if whole.startswith(written) else whole), ""


def continuation(model: ModelSpec, message: str, prefix: str) -> str:
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
