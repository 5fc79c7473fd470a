"""What the published guide says of models of a size and quantization: usual speed and quality."""

from __future__ import annotations

# Up to so many billion parameters: usual speed, and what such models are like.
SIZES = (
    (10.0, "20–50 tokens/s", "quick, weaker on complex tasks"),
    (25.0, "10–20 tokens/s", "better reasoning"),
    (float("inf"), "5–10 tokens/s", "strongest"),
)
# From so many bits per weight: what the quantization costs.
QUALITIES = (
    (7.0, "excellent quality, slow"),
    (5.5, "very good quality"),
    (4.5, "good quality"),
    (3.5, "acceptable quality, fast"),
    (0.0, "poor quality"),
)
BALANCED = (4.5, 7.0)
BALANCE = "Q5 or Q6 is the recommended balance."


def usual(parameters_b: float | None, quantization: str, bits: float | None) -> list[str]:
    """Return sentences on a model of this size (billions of parameters) and quantization; none where both are unknown."""
    sentences = []
    if parameters_b is not None:
        speed, character = next((speed, like) for most, speed, like in SIZES if parameters_b <= most)
        sentences.append(f"Usual for its size: {speed}; {character}.")
    if bits is not None:
        sentences.append(f"{quantization}: {next(cost for least, cost in QUALITIES if bits >= least)}.")
        if not BALANCED[0] <= bits < BALANCED[1]:
            sentences.append(BALANCE)
    return sentences
