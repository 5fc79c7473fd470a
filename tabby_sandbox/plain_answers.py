"""What the pretend models answer to a few plain questions, as a model would: shortly, and to the point."""

from __future__ import annotations

_SKY = (
    "Sunlight looks white, but it holds all colours of the rainbow. On its way through the air it meets molecules that "
    "are much smaller than its waves. These scatter short waves far more than long ones, and blue waves are short. So "
    "blue light reaches our eyes from every part of the sky, while the other colours mostly go straight on. In the "
    "evening the way through the air is longer, so that only the reds are left."
)
_ANSWERS = {
    "Say hello in one short sentence.": "Hello, it is nice to meet you!",
    "Explain in about five sentences why the sky is blue.": _SKY,
}


def plain_answer(message: str) -> str | None:
    """Return the answer to a plain question; None for all other messages."""
    return _ANSWERS.get(message.strip())
