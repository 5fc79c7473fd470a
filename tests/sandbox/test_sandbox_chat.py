"""POST /v1/chat/completions."""

from __future__ import annotations

import asyncio

import pytest

CONTINUE = {"continue_final_message": True, "add_generation_prompt": False}


async def test_a_stream_is_deltas_then_a_reason_then_done(sandbox, said):
    await sandbox.load("parrot")
    events = await sandbox.chat("you")
    assert said(events) == "parrot heard you"
    *chunks, last, done = events
    assert done == "[DONE]"
    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert {chunk["model"] for chunk in chunks} == {"parrot"}
    assert all(set(chunk["choices"][0]["delta"]) == {"content"} for chunk in chunks)


async def test_usage_comes_in_the_last_chunk_with_a_choice(sandbox):
    await sandbox.load("parrot")
    events = await sandbox.chat("[[tokens=6]]", stream_options={"include_usage": True})
    assert [event["choices"][0]["finish_reason"] for event in events[:-1]] == [None] * 6 + ["stop"]
    usage = events[-2]["usage"]
    assert usage["completion_tokens"] == 6
    assert usage["total_tokens"] == usage["prompt_tokens"] + 6
    assert usage["prompt_tokens_per_sec"] == "Indeterminate"


async def test_no_usage_unless_asked_for(sandbox):
    await sandbox.load("parrot")
    assert not any("usage" in event for event in await sandbox.chat("you"))


async def test_max_tokens_ends_the_reply_with_length(sandbox, said):
    await sandbox.load("alpha")
    events = await sandbox.chat("[[tokens=9]]", max_tokens=4)
    assert said(events) == " w1 w2 w3 w4"
    assert events[-2]["choices"][0]["finish_reason"] == "length"


async def test_a_whole_reply_in_one_piece(sandbox):
    await sandbox.load("parrot")
    status, body = await sandbox.whole("you", stream_options={"include_usage": True})
    assert status == 200
    (choice,) = body["choices"]
    assert choice["message"]["content"] == "parrot heard you"
    assert choice["finish_reason"] == "stop"
    assert body["usage"]["completion_tokens"] > 0


async def test_a_server_that_refuses_streams_answers_whole(sandbox):
    await sandbox.load("alpha")
    await sandbox.state(disable_request_streaming=True)
    status, body = await sandbox.whole("hello", stream=True)
    assert (status, body["object"]) == (200, "chat.completion")
    assert (await sandbox.whole("hello"))[0] == 200


async def test_a_prompt_needs_cache_for_a_chunk_of_its_reply(sandbox):
    await sandbox.load("alpha", max_seq_len=2048)
    status, body = await sandbox.whole("hello, this is a prompt of more than one token")
    assert (status, body["error"]["code"]) == (400, "context_length_exceeded")
    assert "requires 2304 cache tokens" in body["error"]["message"]
    await sandbox.load("beta", max_seq_len=2304)
    assert (await sandbox.whole("hello"))[0] == 200


async def test_a_probe_of_a_reasoning_model_has_no_content(sandbox):
    await sandbox.load("thinker")
    _, body = await sandbox.whole("hello", max_tokens=1)
    assert body["choices"][0]["message"]["content"] is None
    assert body["choices"][0]["message"]["reasoning_content"]


async def test_reasoning_comes_first_and_in_its_own_field(sandbox):
    await sandbox.load("thinker")
    fields = [name for event in (await sandbox.chat("hello"))[:-2] for name in event["choices"][0]["delta"]]
    turn = fields.index("content")
    assert turn > 0
    assert set(fields[:turn]) == {"reasoning_content"}
    assert set(fields[turn:]) == {"content"}


async def test_replies_are_markdown_about_the_model_and_quote_the_user(sandbox, said):
    await sandbox.load("alpha")
    text = said(await sandbox.chat("What is a lease?"))
    assert "What is a lease?" in text
    assert "alpha" in text
    assert "\n\n- **" in text
    assert text.count("```") == 2


@pytest.mark.parametrize("cut", [1, 17, 200, 420])
async def test_the_same_model_continues_exactly_where_it_was_cut(sandbox, said, cut):
    await sandbox.load("alpha")
    whole = said(await sandbox.chat("tell me more"))
    assert said(await sandbox.chat("tell me more", response_prefix=whole[:cut])) == whole[cut:]


async def test_a_complete_reply_has_nothing_to_continue(sandbox, said):
    await sandbox.load("alpha")
    whole = said(await sandbox.chat("tell me more"))
    events = await sandbox.chat("tell me more", response_prefix=whole)
    assert said(events) == ""
    assert events[-1] == "[DONE]"


async def test_another_model_continues_in_its_own_words_without_repeating(sandbox, said):
    await sandbox.load("alpha")
    prefix = said(await sandbox.chat("tell me more"))[:200]
    await sandbox.load("beta")
    rest = said(await sandbox.chat("tell me more", response_prefix=prefix))
    assert "beta" in rest
    assert prefix[:60] not in rest
    assert said(await sandbox.chat("tell me more", response_prefix=prefix + rest[:90])) == rest[90:]


async def test_a_continuation_closes_an_open_code_block(sandbox, said):
    await sandbox.load("alpha")
    whole = said(await sandbox.chat("tell me more"))
    prefix = whole[: whole.index("```") + 20]
    await sandbox.load("beta")
    rest = said(await sandbox.chat("tell me more", response_prefix=prefix))
    assert (prefix + rest).count("```") % 2 == 0


async def test_continue_final_message_goes_on_from_the_last_message(sandbox, said):
    await sandbox.load("alpha")
    whole = said(await sandbox.chat("tell me more"))
    messages = [
        {"role": "user", "content": "tell me more"},
        {"role": "assistant", "content": whole[:50]},
    ]
    assert said(await sandbox.chat("", messages=messages, **CONTINUE)) == whole[50:]
    body = {"messages": messages, "continue_final_message": True}
    assert (await sandbox.call("POST", "/v1/chat/completions", body))[0] == 422


async def test_continue_final_message_needs_a_message_with_text(sandbox):
    await sandbox.load("alpha")
    for messages in ([], [{"role": "assistant", "content": None}]):
        body = {"messages": messages, **CONTINUE}
        assert (await sandbox.call("POST", "/v1/chat/completions", body))[0] == 422


async def test_where_the_template_opens_think_a_prefix_is_a_thought(sandbox, said):
    await sandbox.load("opener")
    answer = said(await sandbox.chat("hello"))
    events = await sandbox.chat("hello", response_prefix=answer[:30])
    assert "reasoning_content" in events[0]["choices"][0]["delta"]
    assert said(events) == answer, "and the answer is given anew"
    words = await sandbox.chat("[[tokens=3]]", response_prefix=" w1")
    assert said(words) == " w1 w2 w3"


async def test_where_the_template_opens_think_the_last_message_is_continued(sandbox, said):
    await sandbox.load("opener")
    answer = said(await sandbox.chat("hello"))
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": answer[:30]}]
    events = await sandbox.chat("", messages=messages, **CONTINUE)
    assert said(events) == answer[30:]
    assert "reasoning_content" not in events[0]["choices"][0]["delta"]


async def test_an_older_server_does_not_know_continue_final_message(sandbox_with, said):
    sandbox, _ = await sandbox_with(server="continue_final_message = false")
    await sandbox.load("alpha")
    whole = said(await sandbox.chat("hello"))
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": whole[:30]}]
    assert said(await sandbox.chat("", messages=messages, **CONTINUE)) == whole, "answered anew"
    prefixed = {"response_prefix": whole[:30], "continue_final_message": True}
    assert said(await sandbox.chat("hello", **prefixed)) == whole[30:]
    ignored = {"response_prefix": whole[:30], "add_generation_prompt": False}
    assert said(await sandbox.chat("hello", **ignored)) == whole


async def test_a_tool_is_called_whole_and_at_the_end(sandbox, said):
    await sandbox.load("opener")
    events = await sandbox.chat("[[tool]]")
    assert said(events) == ""
    call, end, done = events
    (tool,) = call["choices"][0]["delta"]["tool_calls"]
    assert tool["function"] == {"name": "get_time", "arguments": "{}"}
    assert end["choices"][0] == {"index": 0, "delta": {}, "finish_reason": "tool_calls"}
    assert done == "[DONE]"
    assert said(await sandbox.chat("[[tokens=2 tool]]")) == " w1 w2"
    _, body = await sandbox.whole("[[tool]]")
    assert body["choices"][0]["message"]["content"] is None
    assert body["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "get_time"


async def test_without_a_format_a_tool_call_is_the_text_that_the_model_writes(sandbox, said):
    await sandbox.load("alpha")
    events = await sandbox.chat("[[tool]]")
    assert said(events).startswith("<tool_call>")
    assert events[-2]["choices"][0]["finish_reason"] == "stop"


async def test_a_thought_that_was_cut_goes_on_as_a_thought(sandbox):
    await sandbox.load("thinker")
    events = await sandbox.chat("hello", response_prefix="<think>\nThe user wri")
    assert events[0]["choices"][0]["delta"] == {"reasoning_content": "tes"}


async def test_after_the_thought_the_answer_goes_on(sandbox, said):
    await sandbox.load("thinker")
    answer = said(await sandbox.chat("hello"))
    prefix = f"<think>\nShort.\n</think>\n\n{answer[:30]}"
    assert said(await sandbox.chat("hello", response_prefix=prefix)) == answer[30:]


async def test_nothing_loaded_is_a_503_without_model_and_a_plain_500_with(sandbox):
    assert await sandbox.whole("hello") == (503, {"detail": "No models are currently loaded."})
    assert await sandbox.whole("hello", model="alpha") == (500, "Internal Server Error")


async def test_model_is_ignored_when_another_is_loaded(sandbox):
    await sandbox.load("parrot")
    assert (await sandbox.whole("you", model="alpha"))[1]["model"] == "parrot"
    assert await sandbox.loaded() == "parrot"


async def test_model_switches_with_inline_loading(sandbox_with):
    sandbox, _ = await sandbox_with(server='inline_loading = true\ninitial_model = "alpha"')
    assert (await sandbox.whole("you", model="parrot"))[1]["model"] == "parrot"
    assert await sandbox.loaded() == "parrot"


async def test_a_prompt_longer_than_the_context_is_refused(sandbox):
    await sandbox.load("beta")
    status, body = await sandbox.whole("x" * 4 * 4097)
    assert status == 400
    assert body["error"]["code"] == "context_length_exceeded"
    assert body["error"]["type"] == "invalid_request_error"


async def test_a_client_that_leaves_ends_its_generation(sandbox):
    await sandbox.load("alpha")
    async with sandbox.chatting("[[tokens=1000 rate=10]]") as chat:
        await chat.data()
    record = await sandbox.eventually_logged("/v1/chat/completions", "disconnected")
    assert 0 < record["tokens"] < 1000
    assert (await sandbox.state())["generations"] == []


async def test_a_client_that_leaves_a_flood_ends_it(sandbox):
    await sandbox.load("alpha")
    async with sandbox.chatting("[[tokens=100000000]]") as chat:
        await chat.data()
    await sandbox.eventually_logged("/v1/chat/completions", "disconnected")


@pytest.mark.parametrize(("rate", "count"), [(0, 5000), (20000, 400)])
async def test_directed_words_come_in_order_one_event_each(sandbox, rate, count):
    await sandbox.load("alpha")
    events = await sandbox.chat(f"[[tokens={count} rate={rate} size=6]]")
    words = [event["choices"][0]["delta"]["content"] for event in events[:-2]]
    assert words == [f" w{number:04d}" for number in range(1, count + 1)]


async def test_a_directed_reply_continues_in_the_middle_of_a_word(sandbox, said):
    await sandbox.load("alpha")
    assert said(await sandbox.chat("[[tokens=12]]", response_prefix=" w1 w2 w3 w4 w5 w6 w7 w8 w9 w1")) == (
        "0 w11 w12"
    )


async def test_stamped_words_carry_the_time_of_sending_and_go_on_counting(sandbox, said):
    await sandbox.load("alpha")
    first = said(await sandbox.chat("[[tokens=3 stamp]]")).split()
    assert [word.partition("@")[0] for word in first] == ["w1", "w2", "w3"]
    times = [int(word.partition("@")[2]) for word in first]
    assert times == sorted(times)
    rest = said(await sandbox.chat("[[tokens=5 stamp]]", response_prefix=" " + " ".join(first)))
    assert [word.partition("@")[0] for word in rest.split()] == ["w4", "w5"]


async def test_an_echo_says_the_rest_of_the_message(sandbox, said):
    await sandbox.load("alpha")
    text = "# Hi\n\n<script>alert(1)</script> 😀 *end* "
    assert said(await sandbox.chat(f"[[echo]]{text}")) == text
    assert said(await sandbox.chat(f"[[echo repeat=3 rate=0]]{text}")) == 3 * text


async def test_an_echo_is_repeated_within_a_bound(sandbox, said):
    await sandbox.load("alpha")
    reply = said(await sandbox.chat(f"[[echo repeat=1000000000 rate=0]]{'x' * 4_000}"))
    assert len(reply) == 1_000_000


@pytest.mark.parametrize(
    "body", [{}, {"messages": "hi"}, {"messages": [7]}, {"messages": [], "max_tokens": "x"}, b"{"]
)
async def test_a_malformed_chat_is_a_422(sandbox, body):
    await sandbox.load("alpha")
    assert (await sandbox.call("POST", "/v1/chat/completions", body))[0] == 422


async def test_over_its_batch_a_reply_waits_with_nothing_but_pings(sandbox, said):
    await sandbox.load("alpha")
    await sandbox.state(at_once=1)
    first, second = (asyncio.create_task(sandbox.chat(f"[[tokens=20 rate={rate}]]")) for rate in (50, 1000))
    await asyncio.wait((first, second), return_when=asyncio.FIRST_COMPLETED)
    earlier, later = await sandbox.log("/v1/chat/completions")
    assert earlier["first_token_at"] <= earlier["ended_at"]
    assert said(await first) == said(await second) == "".join(f" w{n}" for n in range(1, 21))
    earlier, later = await sandbox.log("/v1/chat/completions")
    assert later["at"] < earlier["ended_at"] <= later["first_token_at"]


async def test_an_unload_aborts_what_waits_for_its_turn_too(sandbox):
    await sandbox.load("alpha")
    await sandbox.state(at_once=0)
    waiting = asyncio.create_task(sandbox.chat("[[tokens=3]]"))
    async with asyncio.timeout(120):
        while not (await sandbox.state())["generations"]:
            pass
    assert (await sandbox.call("POST", "/v1/model/unload"))[0] == 200
    await sandbox.eventually_logged("/v1/chat/completions", "aborted")
    waiting.cancel()
