"""What a reply shows while it streams is what stands there when it is done, and after a reload: nothing jumps."""

from __future__ import annotations

import re

import pytest
from played_events import asked, block, delta, hello, message, replied, streaming
from played_site import Site
from playwright.sync_api import Page, expect

from chat.rendering import Blocks, render

QUESTION = asked(1, "Show me everything.")
BLOCKS = {
    "a paragraph": "Some **bold** and *slanted* words with `code`, ~~gone~~, and the end\n",
    "lines": "Roses are red,\nviolets are blue,\nand this is the end\n",
    "a heading": "## How it ends at the end\n",
    "a list": "- one\n- two with **more**\n- at the end\n",
    "a numbered list": "7. one\n8. two\n9. at the end\n",
    "a list within a list": "- one\n  - deeper\n    - deepest\n  - deeper\n- at the end\n",
    "a loose list": "1. one\n\n2. two\n\n3. at the end\n",
    "an item of several lines": "- one\n  and more of it\n- two, the end\n",
    "tasks": "- [ ] open\n- [x] done\n- [ ] at the end\n",
    "a quotation": "> Somebody said this,\n> and that in the end\n",
    "a table": "| name | number |\n|---|--:|\n| one | 1 |\n| two<br>lines | 2 |\n| three | end |\n",
    "code": "```python\ndef f(x):  # why\n    return 'text'\n\nend = 5",
    "code in a list": "1. Run\n   ```bash\n   ls | sort\n   ```\n2. to the end\n",
    "Markdown with code": "````markdown\n# Title\n```bash\nls\n```\nend",
    "a quotation that is Arabic": "> مرحبا بالعالم end\n",
    "Chinese": "**中文粗体，**后面的文字 end\n",
}


def height(page: Page) -> float:
    return float(page.evaluate("document.querySelector('.reply .prose').getBoundingClientRect().height"))


def html(page: Page) -> str:
    return str(page.locator(".reply .prose").evaluate("each => each.innerHTML"))


@pytest.mark.parametrize("text", BLOCKS.values(), ids=BLOCKS.keys())
@pytest.mark.parametrize("width", [1200, 390])
def test_a_block_that_is_finished_takes_the_place_of_its_text(site: Site, text: str, width: int) -> None:
    site.page.set_viewport_size({"width": width, "height": 800})
    before, closing = (
        "Before.\n\n",
        "\n````\n" if text.startswith("````") else "\n```\n" if text[0] == "`" else "",
    )
    page = site.open(first=hello(QUESTION, streaming(2, "", 1)))
    blocks = Blocks()
    first, at = blocks.feed(before), len(before)
    site.say(delta(2, 0, before), *(block(2, each.upto, each.html) for each in first))
    for start in range(0, len(text), 5):  # so that lines are drawn before they are whole
        site.say(delta(2, at + start, text[start : start + 5]))
    expect(page.locator(".reply .tail")).to_contain_text("end")
    expect(page.locator(".reply .caret")).to_have_count(1)
    page.evaluate("document.querySelector('.caret').style.display = 'none'")
    streamed, shown = height(page), page.locator(".reply .prose").inner_text()

    site.say(delta(2, at + len(text), closing))
    blocks.feed(text + closing)
    blocks.close()
    site.say(message(replied(2, before + text + closing, 1)))
    expect(page.locator(".reply .tail")).to_be_hidden()

    assert height(page) == pytest.approx(streamed, abs=1)
    said = [
        re.sub(r"\bCopy\b|\s+", " ", each).split()
        for each in (shown, page.locator(".reply .prose").inner_text())
    ]
    assert said[0] == said[1]


def test_a_reply_that_streamed_is_the_same_after_a_reload(site: Site) -> None:
    text = "\n".join(
        (
            *(
                each + ("\n```\n" if each[:4] == "```p" else "")
                for each in BLOCKS.values()
                if each[:4] != "````"
            ),
            "$x_1$",
        )
    )
    page = site.open(first=hello(QUESTION, streaming(2, "", 1)))
    blocks = Blocks()
    for start in range(0, len(text), 7):
        piece = text[start : start + 7]
        site.say(delta(2, start, piece), *(block(2, each.upto, each.html) for each in blocks.feed(piece)))
    blocks.close()
    assert blocks.html == render(text)
    site.say(message(replied(2, text, 1)))
    expect(page.locator(".reply .tail")).to_be_hidden()
    expect(page.locator(".reply math")).to_have_count(1)
    expect(page.locator(".reply .code .k").first).to_have_text("def")
    streamed = html(page)

    site.open(first=hello(QUESTION, replied(2, text, 1)))
    expect(page.locator(".reply .code .k").first).to_have_text("def")
    assert html(page) == streamed


def test_code_is_coloured_while_it_streams_and_afterwards(site: Site) -> None:
    page = site.open(first=hello(QUESTION, streaming(2, "", 1)))
    code = "```python\ndef f(): # why\n    '''Two\n    lines'''\n"
    site.say(delta(2, 0, code))
    coloured = {"k": ["def"], "c": ["# why"], "s": ["'''Two", "    lines'''"]}
    for kind, words in coloured.items():
        expect(page.locator(f".tail .{kind}")).to_have_text(words)
    site.say(delta(2, len(code), "```\n"), block(2, len(code) + 4, render(code + "```\n")))
    for kind, words in coloured.items():
        expect(page.locator(f".prose > .code .{kind}")).to_have_text(words)
    assert page.locator(".code code").text_content() == code.partition("\n")[2]


def test_code_that_drives_lexers_mad_is_no_trouble(site: Site) -> None:
    """Colouring takes the time of reading, whatever comes; beyond a length, code stays plain."""
    parts = [("make", "a(" * 3_950), ("pike", "\n" * 7_900), ("python", "'" * 7_900), ("js", "`/*" * 2_600)]
    parts += [("c", "x = 1; " * 20_000)]
    text = (
        "\n".join(f"```{language}\n{code}\n```\n" for language, code in parts)
        + "\n```js\nconst last = 1\n```\n"
    )
    page = site.open(first=hello(QUESTION, replied(2, text, 1)))
    expect(page.locator(".code .k").last).to_have_text("const")
    shown = page.locator(".code code").all_text_contents()
    assert shown == [f"{code}\n" for _, code in parts] + ["const last = 1\n"]


def test_right_to_left_is_found_by_block_and_code_stays(site: Site) -> None:
    text = "مرحبا بالعالم\n\nplain words\n\n- واحد\n- اثنان\n\n```\nx\n```\n"
    page = site.open(first=hello(QUESTION, replied(2, text, 1)))

    def directions(selector: str) -> list[str]:
        found = page.locator(f".prose {selector}")
        return [
            str(each)
            for each in found.evaluate_all("all => all.map((each) => getComputedStyle(each).direction)")
        ]

    assert directions("> p") == ["rtl", "ltr"]
    assert directions("> ul") == ["rtl"]
    assert directions("pre") == ["ltr"]


def test_a_task_is_a_box_that_says_whether_it_is_done(site: Site) -> None:
    page = site.open(first=hello(QUESTION, replied(2, "- [ ] one\n- [x] two\n", 1)))
    expect(page.get_by_role("checkbox", name="To do")).not_to_be_checked()
    expect(page.get_by_role("checkbox", name="Done")).to_be_checked()
    expect(page.get_by_role("checkbox", name="Done")).to_be_disabled()
