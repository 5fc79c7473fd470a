"""A reply that streams while pages come, go, and lose their connection: nothing is lost, nothing is there twice."""

from __future__ import annotations

from held_sockets import held_sockets
from playwright.sync_api import Page, WebSocketRoute, expect
from support.people import Person
from support.tabby import Tabby, until
from windows import Windows, conversation, counted, has_word, model_is, replies, say, status_is, words_of

LONG = "[[tokens=900 rate=30]]"  # half a minute: it ends by being stopped
# Every socket of the page is cut 200 ms after it was made, as long as `flapping` says so.
FLAPPING = """
const Real = window.WebSocket;
window.flapping = true;
window.cuts = 0;
window.WebSocket = class extends Real {
  constructor(...address) {
    super(...address);
    const cut = () => {
      if (!window.flapping) return;
      window.cuts += 1;
      this.close();
    };
    // Closing one that is not open yet makes Chromium complain, as nothing of the page's would.
    setTimeout(() => (this.readyState === Real.CONNECTING ? this.addEventListener("open", cut) : cut()), 200);
  }
};
"""


def stop(page: Page) -> None:
    page.get_by_role("button", name="Stop the reply").click()


def test_a_page_reloaded_in_mid_stream_goes_on(tabby: Tabby, alice: Person, windows: Windows) -> None:
    page = windows.open(alice, "/")
    has_word(say(page, LONG), 10)
    conversation(page)
    page.reload()
    reply = replies(page).first
    has_word(reply, 10)
    status_is(reply, "streaming")
    seen = len(words_of(reply))
    has_word(reply, seen + 20)
    stop(page)
    status_is(reply, "stopped")
    words = words_of(reply)
    assert words == counted(len(words))


def test_a_first_message_may_be_faster_than_its_pages_socket(
    tabby: Tabby, alice: Person, windows: Windows
) -> None:
    with held_sockets(windows.url) as held:
        page = windows.open(alice, "/", url=held.url)
        page.locator("#composer-text").fill("[[tokens=3]]")
        page.locator("#send").click()
        conversation(page)  # a browser complains of a socket that is closed before it was open
        held.let_go()
        status_is(replies(page).first, "complete")


def test_two_pages_show_the_same_through_two_processes(
    tabby: Tabby, alice: Person, windows: Windows, second_url: str
) -> None:
    here = windows.open(alice, "/")
    has_word(say(here, LONG), 5)
    path = conversation(here)
    beside = windows.open(alice, path)
    elsewhere = windows.open(alice, path, url=second_url)
    pages = (here, beside, elsewhere)
    for page in pages:
        has_word(replies(page).first, 20)
        status_is(replies(page).first, "streaming")
    seen = len(words_of(replies(elsewhere).first))
    has_word(replies(elsewhere).first, seen + 20)
    stop(elsewhere)
    for page in pages:
        status_is(replies(page).first, "stopped")
    words = words_of(replies(here).first)
    assert words == counted(len(words))
    assert [words_of(replies(page).first) for page in pages] == [words] * 3

    say(elsewhere, "[[echo]]From the other process.")
    for page in pages:
        expect(replies(page).nth(1).locator(".prose")).to_have_text("From the other process.")
        expect(page.locator("article.user")).to_have_count(2)


def test_a_flapping_network_loses_and_doubles_nothing(tabby: Tabby, alice: Person, windows: Windows) -> None:
    page = windows.open(alice)
    page.add_init_script(FLAPPING)
    page.goto("/")
    reply = say(page, "[[tokens=150 rate=30]]")
    for number in range(4):
        page.locator("#composer-text").fill(f"[[echo]]message {number}")
        page.locator("#send").click()
    until(lambda: page.evaluate("window.cuts") >= 8, "eight cuts")
    page.evaluate("window.flapping = false")
    expect(replies(page)).to_have_count(5)
    status_is(replies(page).last, "complete")
    assert words_of(reply) == counted(150)
    said = ["[[tokens=150 rate=30]]", *(f"[[echo]]message {number}" for number in range(4))]
    assert page.locator("article.user .bubble").all_inner_texts() == said
    answers = [text.strip() for text in replies(page).locator(".prose").all_inner_texts()]
    assert answers[1:] == [f"message {number}" for number in range(4)]


def test_a_message_written_without_a_connection_survives_a_reload(
    tabby: Tabby, alice: Person, windows: Windows
) -> None:
    page = windows.open(alice)
    sockets: list[WebSocketRoute] = []
    connected = True

    def route(socket: WebSocketRoute) -> None:
        if connected:
            socket.connect_to_server()
            sockets.append(socket)
        else:
            socket.close()

    page.route_web_socket("**/ws/**", route)
    page.goto("/")
    status_is(say(page, "[[echo]]one"), "complete")
    connected = False
    sockets[-1].close()
    page.locator("#composer-text").fill("[[echo]]two")
    page.locator("#send").click()
    expect(page.locator("article.pending")).to_contain_text("two")
    expect(page.locator("#banner")).to_contain_text("Connection lost")
    page.reload()
    expect(page.locator("article.pending")).to_contain_text("two")
    connected = True
    expect(page.locator("article.pending")).to_have_count(0)
    expect(page.locator("#banner")).to_be_hidden()
    expect(replies(page)).to_have_count(2)
    expect(replies(page).last.locator(".prose")).to_have_text("two")
    expect(page.locator("article.user")).to_have_count(2)


def test_stop_ends_the_reply_here_and_in_tabbyapi(tabby: Tabby, alice: Person, windows: Windows) -> None:
    page = windows.open(alice, "/")
    reply = say(page, LONG)
    has_word(reply, 5)
    stop(page)
    status_is(reply, "stopped")
    expect(reply.locator(".meta")).to_contain_text("stopped")
    until(lambda: tabby.state()["generations"] == [], "the end of the generation")
    assert tabby.log("/v1/chat/completions")[-1]["outcome"] == "disconnected"
    words = words_of(reply)
    assert words == counted(len(words))
    status_is(say(page, "[[echo]]Go on."), "complete")


def test_a_reply_goes_on_while_nobody_looks(tabby: Tabby, alice: Person, windows: Windows) -> None:
    page = windows.open(alice, "/")
    reply = say(page, "[[tokens=60 rate=30]]")
    has_word(reply, 5)
    path = conversation(page)
    page.close()
    with alice.page(path.removeprefix("/c/").strip("/")) as watched:
        watched.until(lambda each: all(m["status"] == "complete" for m in each.messages.values()), "the end")
    later = windows.open(alice, path)
    status_is(replies(later).first, "complete")
    assert words_of(replies(later).first) == counted(60)


def test_a_reply_cut_by_a_switch_is_continued_and_says_so(
    tabby: Tabby, admin: Person, alice: Person, windows: Windows
) -> None:
    page = windows.open(alice, "/")
    model_is(page, "ready", "alpha-7B")
    reply = say(page, LONG)
    has_word(reply, 5)
    admin.start_switch("beta-8B-Q5")
    expect(reply).to_contain_text("Begun by alpha-7B, continued by beta-8B-Q5")
    seen = len(words_of(reply))
    has_word(reply, seen + 5)
    stop(page)
    status_is(reply, "stopped")
    words = words_of(reply)
    assert words == counted(len(words))
