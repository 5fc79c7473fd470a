"""What an answer is worth: faults are seen, and nothing that a working model writes is taken for one."""

from __future__ import annotations

from typing import Any

import pytest

from models_admin.checks import bounds, patterns, text_faults
from models_admin.checks.judging import Answer, judge
from models_admin.checks.languages import language_of
from models_admin.models import Check, Verdict

GOOD = {
    "prose": "Sunlight holds all colours. Blue light is scattered most, so the sky is blue.",
    "numbered words": "".join(f" w{number}" for number in range(1, 300)),
    "counting": ", ".join(map(str, range(1, 200))),
    "code": "```python\ndef f(xs):\n    return [x ** 2 for x in xs if x % 2 == 0]\n```\nUse `f([1, 2])`.",
    "table": "| a | b |\n|---|---|\n" + "\n".join(f"| {n} | {n * n} |" for n in range(30)) + "\n" + "-" * 200,
    "refrain": "Row, row, row your boat,\ngently down the stream.\n" * 2
    + "Merrily, merrily, life is but a dream.",
    "laughter": "Ha ha ha ha, that is a good one! Hahaha.",
    "German": "Der Himmel ist blau, weil kurzwelliges Licht an Luftmolekülen stärker gestreut wird.",
    "Japanese": "空が青いのは、太陽の光が空気の分子で散乱されるからです。",
    "Korean": "하늘이 파란 이유는 햇빛이 공기 분자에 의해 산란되기 때문입니다.",
    "mixed": "In Greek it is ουρανός, in Russian небо: two words for the sky that we all see above us.",
    "mathematics": r"$$\int_0^\infty e^{-x^2}\,dx = \frac{\sqrt{\pi}}{2}$$ and ∑ₙ 1/n² = π²/6 ≈ 1.645",
    "emoji": "Hello! 👋😀🎉 Nice to meet you! 🌤️",
    "markup": "<p>Strike <s>this</s> out</p>, a | b, <|> and <b>bold</b>",
    "acronyms": "HTTP, XML, CSS, SQL, SSH, SMTP, TCP and UDP are all spelled out in their documents here.",
}


def check(**columns: Any) -> Check:
    return Check(name="One", prompt="?", **columns)


def answer(text: str = "", **more: Any) -> Answer:
    tokens = len(text.split())
    said = {"tokens": tokens, "text_tokens": tokens, "waited": 3.0, "finish_reason": "stop"}
    times = {"first_token": 0.5 if text else None, "last_token": 2.5}
    return Answer(text=text, **{**said, **times, **more})


def verdict(its: Check, came: Answer, past: float | None = None) -> tuple[Verdict, str]:
    judged = judge(its, came, past, patience=10)
    return judged.verdict, judged.why


@pytest.mark.parametrize("name", GOOD)
def test_what_working_models_write_has_no_fault(name: str) -> None:
    clean = check(no_marks=True, no_repeats=True, no_gibberish=True, ends_within=600)
    assert verdict(clean, answer(GOOD[name])) == (Verdict.PASSED, "")
    for end in range(1, len(GOOD[name]), 7):  # nor where it is cut off
        text = GOOD[name][:end]
        assert not text_faults.repeated(text)
        assert not text_faults.gibberish(text)


@pytest.mark.parametrize(
    "text",
    [
        "Hello!<|im_end|>\n<|im_start|>user", "Hi</s>", "Hi [INST] more [/INST]", "Hi<|eot_id|>", "Hi<|im_e",
        "Hello!\nuser\nWhat is it?", "<｜end▁of▁sentence｜>Hi", "### Instruction:\nSay hi", "Hi<end_of_turn>",
    ],
)  # fmt: skip
def test_marks_of_templates_are_found_whole_and_cut_off(text: str) -> None:
    assert verdict(check(no_marks=True), answer(text))[0] == Verdict.FAILED


@pytest.mark.parametrize(
    "text",
    [
        "and so on " * 30,
        "!" * 96,
        "Well. " + "the the the the " * 20,
        "0" * 200,
        "a b c d e f " * 20,
        "So\nSo\n" * 30,
    ],
)
def test_endless_repeats_are_found(text: str) -> None:
    assert verdict(check(no_repeats=True), answer(text))[0] == Verdict.FAILED


@pytest.mark.parametrize(
    "text",
    [
        "\ufffd" * 30,
        "xkcd bdfgh qwrtp zxcvb mnbvc lkjhg trwq fghjk plkm",
        "фb漢ثcжλ" * 6,
        "@#$%^&*()~{}[]<>|\\/;:" * 2,
    ],
)
def test_gibberish_is_found(text: str) -> None:
    assert verdict(check(no_gibberish=True), answer(text))[0] == Verdict.FAILED


@pytest.mark.parametrize(
    ("columns", "good", "bad"),
    [
        ({"contains": "Paris\nfrance"}, "It is PARIS, in France.", "It is Lyon, in France."),
        ({"excludes": "sorry"}, "Of course.", "Sorry, I cannot."),
        ({"matches": r"^\d+$"}, "42", "It is 42."),
        ({"json_schema": {"type": "object", "required": ["a"]}}, '```json\n{"a": 1}\n```', '{"b": 1}'),
        ({"json_schema": {"type": "object"}}, '{"a": 1}', '{"a": 1'),
        ({"language": "de"}, GOOD["German"], "This is not what it was that I asked you for, is it?"),
        ({"answers": True}, "Yes.", " \n"),
        ({"ends_within": 5}, "one two three", "one two three four five six"),
    ],
)
def test_each_condition_of_the_text_is_judged(columns: dict[str, Any], good: str, bad: str) -> None:
    assert verdict(check(**columns), answer(good)) == (Verdict.PASSED, "")
    assert verdict(check(**columns), answer(bad))[0] == Verdict.FAILED


def test_tools_times_and_speeds_are_judged() -> None:
    tool = check(calls_tool="get_time")
    assert verdict(tool, answer(tools=["get_time"]))[0] == Verdict.PASSED
    assert verdict(tool, answer("It is noon."))[0] == Verdict.FAILED
    text = "word " * 41  # in 2 s: 20 a second
    assert verdict(check(first_token_within=0.4), answer(text))[0] == Verdict.FAILED
    assert verdict(check(least_rate=19), answer(text))[0] == Verdict.PASSED
    assert verdict(check(least_rate=21), answer(text))[0] == Verdict.FAILED
    slow = answer("word " * 9, last_token=8.5, tokens=17)  # 2 a second
    assert verdict(check(least_share=20), slow, 20)[0] == Verdict.FAILED
    assert verdict(check(least_share=20), slow, 9)[0] == Verdict.PASSED
    assert verdict(check(least_share=20), slow)[0] == Verdict.PASSED, "its past is not known"
    assert verdict(check(least_share=50), answer(text), 10_000)[0] == Verdict.PASSED, "as fast as people read"


def test_thoughts_are_no_answer_and_no_fault() -> None:
    thinking = answer("<think>user\nand so on", finish_reason="length")
    assert verdict(check(no_marks=True, ends_within=5), thinking)[0] == Verdict.NOT_JUDGED
    assert verdict(check(no_marks=True), answer("<think>\nuser\n</think>Hello!"))[0] == Verdict.PASSED


def test_what_is_not_whole_is_judged_by_its_faults_alone() -> None:
    cut = answer("Hello", finish_reason="", waited=20.0)
    assert verdict(check(contains="Paris"), cut)[0] == Verdict.NOT_JUDGED
    assert verdict(check(contains="Paris", must_end=True), cut)[0] == Verdict.FAILED
    assert verdict(check(excludes="hell"), cut)[0] == Verdict.FAILED
    assert verdict(check(), answer(finish_reason="", waited=20.0))[0] == Verdict.FAILED, "nothing came at all"
    assert verdict(check(), answer(finish_reason="", waited=0.0))[0] == Verdict.NOT_JUDGED, (
        "it was never sent"
    )


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(.*a){20}b", r"\w+\w+\w+\w+!"])
def test_no_expression_can_hold_a_worker(pattern: str) -> None:
    """One that goes back and tries again would not end."""
    judged = verdict(check(matches=pattern), answer("a" * 60_000))
    assert judged[0] in (Verdict.PASSED, Verdict.FAILED)


@pytest.mark.parametrize("pattern", ["(", "(((a{1000}){1000}){1000}){1000}", r"(a)\1", "(?=a)"])
def test_expressions_that_are_wrong_or_too_large_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="no regular expression"):
        bounds.pattern(pattern)
    assert verdict(check(matches=pattern), answer("a"))[0] == Verdict.NOT_JUDGED


@pytest.mark.parametrize(
    "schema",
    [
        [], {"type": "nonsense"}, {"$ref": "http://127.0.0.1:9/x"}, {"properties": {"a": {"$ref": "#"}}},
        {"pattern": "("}, {"description": "x" * 20_000},
    ],
)  # fmt: skip
def test_schemas_that_are_wrong_too_large_or_refer_to_others_are_refused(schema: Any) -> None:
    with pytest.raises(patterns.BadPattern):
        bounds.json_schema(schema)


@pytest.mark.parametrize(
    ("check_field", "value"),
    [
        (bounds.options, {"max_tokens": 1_000_000}), (bounds.options, {"temperature": "hot"}), (bounds.options, []),
        (bounds.tools, [{"type": "function", "function": {"name": "x"}}]), (bounds.tools, {}),
        (bounds.image, "https://example.org/x.png"), (bounds.image, "data:image/png;base64,*"),
    ],
)  # fmt: skip
def test_other_fields_have_their_bounds(check_field: Any, value: Any) -> None:
    with pytest.raises(ValueError, match=r"\."):
        check_field(value)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (GOOD["prose"] + " It is that and not the other.", "en"), (GOOD["German"], "de"), (GOOD["Japanese"], "ja"),
        (GOOD["Korean"], "ko"), ("天空是蓝色的，因为阳光被空气散射。", "zh"),
        ("Небо голубое, потому что свет рассеивается.", "ru"),
        ("Le ciel est bleu parce que la lumière est diffusée dans les airs et que nous la voyons.", "fr"),
        ("42", ""), ("Hi", ""), ("", ""),
    ],
)  # fmt: skip
def test_the_language_is_told_where_it_is_clear(text: str, language: str) -> None:
    assert language_of(text) == language
