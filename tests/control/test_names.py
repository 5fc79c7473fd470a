"""What a model's name tells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_admin.admin import size_guide
from models_admin.servers import names
from models_admin.servers.names import Facts


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("Qwen2.5-Coder-7B-Instruct", Facts(7.0, "", None, "Qwen")),
        ("Qwen2.5-Coder-7B-Instruct-Q5", Facts(7.0, "Q5", 5.0, "Qwen")),
        ("Qwen2.5-Coder-7B-Instruct-Q5_K_M", Facts(7.0, "Q5_K_M", 5.0, "Qwen")),
        ("Llama-3.1-8B-Instruct-4.0bpw", Facts(8.0, "4.0bpw", 4.0, "Llama")),
        ("Meta-Llama-3.1-70B-Instruct-4.65bpw-h6-exl2", Facts(70.0, "4.65bpw", 4.65, "Llama")),
        ("Mistral-7B-Instruct-v0.3-4bit", Facts(7.0, "4bit", 4.0, "Mistral")),
        ("DeepSeek-Coder-6.7B", Facts(6.7, "", None, "DeepSeek")),
        ("DeepSeek-R1-Distill-Llama-8B", Facts(8.0, "", None, "DeepSeek")),
        ("Mixtral-8x7B", Facts(46.48, "", None, "Mixtral")),
        ("gemma-2-9b-it", Facts(9.0, "", None, "Gemma")),
        ("Llama-3.1-8B", Facts(8.0, "", None, "Llama")),
        ("Qwen3-30B-A3B", Facts(30.0, "", None, "Qwen")),
        ("SmolLM2-360M-Instruct-FP16", Facts(0.36, "FP16", 16.0, "SmolLM")),
        ("phi-4-14b-BF16", Facts(14.0, "BF16", 16.0, "Phi")),
        ("Yi-34B-INT8", Facts(34.0, "INT8", 8.0, "Yi")),
        ("Llama-3.2-3B-AWQ", Facts(3.0, "AWQ", 4.0, "Llama")),
        ("Qwen2.5-7B-Instruct-GPTQ", Facts(7.0, "GPTQ", 4.0, "Qwen")),
        ("Qwen2.5-7B-Instruct-GPTQ-Int8", Facts(7.0, "GPTQ-Int8", 8.0, "Qwen")),
        ("Llama-3.3-70B-IQ2_XXS", Facts(70.0, "IQ2_XXS", 2.0, "Llama")),
        ("Qwen3-8B-exl3", Facts(8.0, "exl3", None, "Qwen")),
        ("Falcon3-10B", Facts(10.0, "", None, "Falcon")),
        ("Aquila-7B", Facts(7.0, "", None, "Aquila")),
        ("delphi-7B", Facts(7.0, "", None, "Delphi")),
        ("model1", Facts(None, "", None, "")),
        ("test", Facts(None, "", None, "")),
        ("", Facts(None, "", None, "")),
    ],
)
def test_it_reads_the_name(name: str, facts: Facts) -> None:
    assert names.read(name) == facts


@given(st.text(max_size=300))
def test_any_text_is_a_name(name: str) -> None:
    facts = names.read(name)
    assert facts.bits is None or 1 <= facts.bits <= 32
    assert isinstance(names.hint(name), str)
    assert set(names.suggested_tags(name)) <= set(names.TAGS)


# From the published guide: GB at 4 and at 8 bits, and a 7B model by quantization.
VRAM_TABLE = [
    *((size, 4, gb) for size, gb in ((3, 3), (7, 5), (13, 10), (30, 20), (70, 40))),
    *((size, 8, gb) for size, gb in ((3, 5), (7, 8), (13, 16), (30, 32), (70, 70))),
    *((7, bits, gb) for bits, gb in ((8, 8), (6, 6), (5, 5), (4, 4), (3, 3))),
]


@pytest.mark.parametrize(("size", "bits", "gb"), VRAM_TABLE)
def test_the_vram_estimate_is_within_a_fifth_or_one_gb_of_the_guide(
    size: float, bits: float, gb: float
) -> None:
    estimate = names.vram_gb(size, bits)
    assert estimate is not None
    assert abs(estimate - gb) <= max(1.0, 0.2 * gb)


def test_no_estimate_without_size_or_bits() -> None:
    assert names.vram_gb(None, 4) is None
    assert names.vram_gb(7, None) is None


@pytest.mark.parametrize("name", ["model1", "test", "my-model", "new_model_2", "Model"])
def test_generic_names_get_a_hint(name: str) -> None:
    assert "says nothing" in names.hint(name)


def test_spaces_and_special_characters_get_a_hint() -> None:
    assert "spaces" in names.hint("Llama 3.1 8B")
    assert "special characters" in names.hint("Llama-3.1-8B<b>")
    assert "spaces and special characters" in names.hint("Llama 3.1 8B & more")
    assert "neither size nor quantization" in names.hint("starling")


@pytest.mark.parametrize(
    "name", ["Qwen2.5-Coder-7B-Instruct-Q5", "Llama-3.1-8B-Instruct", "Mistral-7B-Instruct-v0.3"]
)
def test_good_names_get_none(name: str) -> None:
    assert names.hint(name) == ""


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("Qwen2.5-Coder-7B-Instruct-Q5", ["coding"]),
        ("DeepSeek-Coder-6.7B", ["coding"]),
        ("Mistral-7B-Instruct-v0.3", ["creative"]),
        ("Llama-3.1-8B-Instruct", ["coding", "creative", "general", "analysis"]),
        ("Qwen2.5-7B-Instruct-4.0bpw", ["general", "analysis"]),
        ("DeepSeek-R1-Distill-Llama-8B", ["analysis"]),
        ("gemma-2-9b-it", ["general"]),
        ("model1", []),
    ],
)
def test_tags_follow_the_guide(name: str, tags: list[str]) -> None:
    assert names.suggested_tags(name) == tags


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "Qwen2.5-7B-Q5",
            "Usual for its size: 20–50 tokens/s; quick, weaker on complex tasks. Q5: good quality.",
        ),
        (
            "Qwen2.5-7B-Q3",
            "20–50 tokens/s; quick, weaker on complex tasks. Q3: poor quality. Q5 or Q6 is the recommended balance.",
        ),
        ("Llama-13B-Q6_K", "10–20 tokens/s; better reasoning. Q6_K: very good quality."),
        ("Llama-70B-4.0bpw", "5–10 tokens/s; strongest. 4.0bpw: acceptable quality, fast. Q5 or Q6 is"),
        ("Qwen2.5-7B-Q8", "Q8: excellent quality, slow."),
    ],
)
def test_the_usual_is_told_as_the_guide_has_it(name: str, told: str) -> None:
    facts = names.read(name)
    assert told in " ".join(size_guide.usual(facts.parameters_b, facts.quantization, facts.bits))
    assert size_guide.usual(None, "", None) == []
