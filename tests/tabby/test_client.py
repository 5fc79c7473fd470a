from __future__ import annotations

import ssl

import pytest
import requests
import responses
from support.servers import SERVER

from models_admin.servers import connections
from models_admin.tabby import errors
from models_admin.tabby.client import TabbyClient
from models_admin.tabby.wire import ModelCard

HOST = "http://tabby.test:5000"


@pytest.fixture
def tabby():
    with TabbyClient(HOST, "admin-secret", "api-secret", read_timeout=0.2, switch_timeout=0.2) as client:
        yield client


@pytest.fixture
def mocked():
    with responses.RequestsMock() as mocked:
        yield mocked


@pytest.mark.parametrize(("host", "read"), [(HOST, 0), ("https://tabby.test", 1), (" HTTPS://tabby.test", 1)])
def test_the_systems_certificates_are_read_for_https_only(monkeypatch, host, read):
    made = []
    make = ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", lambda: made.append(make()) or made[-1])
    with TabbyClient(host) as client:
        assert len(made) == read
        used = client._session.get_adapter("https://tabby.test").poolmanager.connection_pool_kw
        assert used.get("ssl_context") in (made or [None])


@pytest.mark.parametrize("permission", ["admin", "api"])
def test_permission(tabby, mocked, permission):
    mocked.get(f"{HOST}/v1/auth/permission", json={"permission": permission})
    assert tabby.permission() == permission
    assert mocked.calls[0].request.headers["Authorization"] == "Bearer admin-secret"


def test_the_api_key_is_used_where_there_is_no_admin_key(mocked):
    mocked.get(f"{HOST}/v1/models", json={"data": []})
    with TabbyClient(HOST, "", "api-secret") as client:
        assert client.models() == []
    assert mocked.calls[0].request.headers["Authorization"] == "Bearer api-secret"


def test_no_key_sends_no_header(mocked):
    mocked.get(f"{HOST}/v1/models", json={"data": []})
    with TabbyClient(HOST) as client:
        client.models()
    assert "Authorization" not in mocked.calls[0].request.headers


def test_a_netrc_does_not_replace_the_key(mocked, tabby, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine tabby.test login me password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    mocked.get(f"{HOST}/v1/models", json={"data": []})
    tabby.models()
    assert mocked.calls[0].request.headers["Authorization"] == "Bearer admin-secret"


def test_models_are_sorted_once_each_and_usable(tabby, mocked):
    names = [
        "b",
        "a",
        "a",
        "",
        ".",
        "..",
        "../x",
        "x/y",
        "x\\y",
        "new\nline",
        "\x7f",
        "esc\x1b[2J",
        "csi\x9b",
        "turned\u202e",
        "n" * 256,
        "n" * 255,
        "ünï 4.0bpw",
    ]
    mocked.get(f"{HOST}/v1/models", json={"object": "list", "data": [{"id": name} for name in names]})
    assert tabby.models() == ["a", "b", "n" * 255, "ünï 4.0bpw"]


def test_what_is_listed_and_no_model_is_left_out(tabby, mocked):
    names = ["a", ".cache", ".locks", "lost+found", "gpt-3.5-turbo", "gpt-3.5-turbo-distill-7B"]
    mocked.get(f"{HOST}/v1/models", json={"object": "list", "data": [{"id": name} for name in names]})
    assert tabby.models() == ["a", "gpt-3.5-turbo-distill-7B"]


@pytest.mark.parametrize(
    ("path", "ask", "answer"),
    [
        ("/v1/templates", TabbyClient.templates, ["chatml", "alpaca"]),
        ("/v1/model/draft/list", TabbyClient.draft_models, [{"id": "chatml"}, {"id": "alpaca"}]),
    ],
)
def test_lists_that_a_release_may_lack(tabby, mocked, path, ask, answer):
    mocked.get(HOST + path, json={"object": "list", "data": answer})
    assert ask(tabby) == ["alpaca", "chatml"]
    for status in (404, 500):
        mocked.upsert("GET", HOST + path, status=status, body="Internal Server Error")
        assert ask(tabby) is None
    mocked.upsert("GET", HOST + path, status=401, json={"detail": "Invalid API key"})
    with pytest.raises(errors.KeyRefused):
        ask(tabby)


def test_a_card_says_that_there_is_no_template_and_which_draft_model(tabby, mocked):
    parameters = {"prompt_template": None, "draft": {"id": "tiny", "parameters": None}}
    mocked.get(f"{HOST}/v1/model", json={"id": "Llama", "parameters": parameters})
    assert tabby.current() == ModelCard("Llama", {"prompt_template": "", "draft": "tiny"})


def test_current_is_the_card(tabby, mocked):
    mocked.get(
        f"{HOST}/v1/model", json={"id": "Llama", "object": "model", "parameters": {"max_seq_len": 4096}}
    )
    assert tabby.current() == ModelCard("Llama", {"max_seq_len": 4096})


def test_what_is_odd_in_a_card_is_left_out(tabby, mocked):
    parameters = {
        "max_seq_len": 4096,
        "cache_mode": "Q8",
        "rope_scale": 1.5,
        "use_vision": False,
        "cache_size": 10**30,
        "chunk_size": None,
        "prompt_template": "x\x00y",
        "prompt_template_content": "{{ messages }}",
        "draft": {"parameters": {}},
    }
    mocked.get(f"{HOST}/v1/model", json={"id": "Llama", "parameters": parameters})
    known = {"max_seq_len": 4096, "cache_mode": "Q8", "rope_scale": 1.5, "use_vision": False}
    assert tabby.current() == ModelCard("Llama", known)


@pytest.mark.parametrize(
    "card",
    [
        {"id": ""},
        {"id": "../x"},
        {"id": "x\x00"},
        {"id": "n" * 256},
        {"id": "Llama", "parameters": {"max_seq_len": "many"}},
        {"id": "Llama", "parameters": [1]},
    ],
)
def test_a_card_that_cannot_be_one_is_garbled(tabby, mocked, card):
    mocked.get(f"{HOST}/v1/model", json=card)
    with pytest.raises(errors.Garbled):
        tabby.current()


@pytest.mark.parametrize("status", [503, 400])
def test_current_is_none_when_no_model_is_loaded(tabby, mocked, status):
    mocked.get(f"{HOST}/v1/model", status=status, json={"detail": "No models are currently loaded."})
    assert tabby.current() is None


def test_another_503_is_no_unloaded_model(tabby, mocked):
    mocked.get(f"{HOST}/v1/model", status=503, body="<html>upstream down</html>", content_type="text/html")
    with pytest.raises(errors.Busy):
        tabby.current()


@pytest.mark.parametrize(
    ("status", "answer", "issues"),
    [
        (200, {"status": "healthy", "issues": []}, []),
        (200, {"status": "healthy"}, []),
        (
            503,
            {"status": "unhealthy", "issues": [{"time": "t", "description": "CUDA died"}, "odd"]},
            ["CUDA died", "odd"],
        ),
    ],
)
def test_health(tabby, mocked, status, answer, issues):
    mocked.get(f"{HOST}/health", status=status, json=answer)
    assert tabby.health_issues() == issues


def test_unload(tabby, mocked):
    mocked.post(f"{HOST}/v1/model/unload", body="null", content_type="application/json")
    assert tabby.unload() is True


@pytest.mark.parametrize("status", [503, 400])
def test_unload_of_nothing(tabby, mocked, status):
    mocked.post(f"{HOST}/v1/model/unload", status=status, json={"detail": "No models are currently loaded."})
    assert tabby.unload() is False


def test_a_failed_unload_is_no_success(tabby, mocked):
    mocked.post(f"{HOST}/v1/model/unload", status=500, body="Internal Server Error")
    with pytest.raises(errors.ServerFault, match="Internal Server Error"):
        tabby.unload()


ANSWER = b"""\
: ping - now\r
\r
data: {"choices":[{"index":0,"delta":{"content":"H"},"finish_reason":null}],"model":"Llama"}\r
\r
data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}\r
\r
data: [DONE]\r
\r
"""


def test_probe_asks_for_one_token_with_the_chat_key_and_no_model(tabby, mocked):
    mocked.post(f"{HOST}/v1/chat/completions", body=ANSWER)
    tabby.probe(timeout=1)
    request = mocked.calls[0].request
    assert request.headers["Authorization"] == "Bearer api-secret"
    body = requests.models.complexjson.loads(request.body)
    assert body["max_tokens"] == 1
    assert body["stream"] is True
    assert "model" not in body


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (200, {"object": "chat.completion", "choices": [{"message": {"content": "H"}}]}, errors.Garbled),
        (200, {"error": {"message": "aborted"}}, errors.Garbled),
        (200, [], errors.Garbled),
        (503, {"detail": "No models are currently loaded."}, errors.NotLoaded),
        (500, {}, errors.ServerFault),
        (401, {"detail": "Invalid API key"}, errors.KeyRefused),
    ],
)
def test_a_probe_without_an_answer_fails(tabby, mocked, status, answer, kind):
    mocked.post(f"{HOST}/v1/chat/completions", status=status, json=answer)
    with pytest.raises(kind):
        tabby.probe()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (ANSWER.replace(b"data: [DONE]", b": ping"), errors.StreamCut),
        (b"data: [DONE]\r\n\r\n", errors.Garbled),
        (b'data: {"error":{"message":"The engine crashed"}}\r\n\r\n', errors.StreamError),
        (b'data: {"error":{"message":"No models are currently loaded."}}\r\n\r\n', errors.NotLoaded),
        (b"data: {\r\n\r\n", errors.Garbled),
        (b": ping\r\n\r\n", errors.Garbled),
    ],
)
def test_a_stream_that_is_no_answer_fails_the_probe(tabby, mocked, body, kind):
    mocked.post(f"{HOST}/v1/chat/completions", body=body)
    with pytest.raises(kind):
        tabby.probe()


def test_a_server_that_refuses_streams_is_told_with_its_setting(tabby, mocked):
    whole = {"object": "chat.completion", "choices": [{"message": {"content": "H"}}]}
    mocked.post(f"{HOST}/v1/chat/completions", json=whole)
    with pytest.raises(errors.Garbled, match="does not stream") as caught:
        tabby.probe()
    assert "disable_request_streaming" in caught.value.advice


CALLS = [
    ("GET", "/v1/auth/permission", TabbyClient.permission),
    ("GET", "/v1/models", TabbyClient.models),
    ("GET", "/v1/model", TabbyClient.current),
    ("GET", "/health", TabbyClient.health_issues),
    ("POST", "/v1/chat/completions", TabbyClient.probe),
]


JUNK = ["<html>hello</html>", "", "{", '"a"', "[1]", "7", "null", '{"data": 1, "permission": 2, "id": 3}']


@pytest.mark.parametrize(("method", "path", "call"), CALLS)
def test_junk_is_garbled(tabby, mocked, method, path, call):
    for body in JUNK:
        mocked.upsert(method, HOST + path, body=body)
        with pytest.raises(errors.Garbled):
            call(tabby)


@pytest.mark.parametrize("data", [[1], [{"id": 3}], [{}], {"a": 1}])
def test_a_list_of_other_things_is_garbled(tabby, mocked, data):
    mocked.get(f"{HOST}/v1/models", json={"data": data})
    with pytest.raises(errors.Garbled):
        tabby.models()


@pytest.mark.parametrize(
    ("method", "path", "call"), [*CALLS, ("POST", "/v1/model/unload", TabbyClient.unload)]
)
def test_a_refused_key_is_said_without_the_key(tabby, mocked, method, path, call):
    mocked.add(method, HOST + path, status=401, json={"detail": "Invalid key admin-secret api-secret"})
    with pytest.raises(errors.KeyRefused) as caught:
        call(tabby)
    assert "secret" not in str(caught.value) + repr(caught.value) + caught.value.advice


def test_a_redirect_is_not_followed(tabby, mocked):
    mocked.get(f"{HOST}/v1/models", status=302, headers={"Location": "http://elsewhere.test/"})
    with pytest.raises(errors.Garbled):
        tabby.models()


@pytest.mark.parametrize("key", ["line\nbreak", "späße", "two words"])
def test_a_key_that_cannot_be_sent_is_refused_here_and_not_shown(key):
    with TabbyClient(HOST, key) as client, pytest.raises(errors.KeyRefused) as caught:
        client.models()
    assert key not in str(caught.value)
    assert caught.value.__context__ is None


def test_nobody_listens(server):
    server.close()
    with TabbyClient(server.url) as client, pytest.raises(errors.Unreachable, match="listing the models"):
        client.models()


def test_an_answer_that_does_not_come_times_out(server):
    server.script = lambda peer: peer.wait_until_closed()
    with TabbyClient(server.url, read_timeout=0.2) as client, pytest.raises(errors.TimedOut):
        client.models()


def test_an_answer_that_stops_in_the_middle_times_out(server):
    def script(peer):
        peer.head(200, "application/json", "Content-Length: 100")
        peer.send(b'{"data"')
        peer.wait_until_closed()

    server.script = script
    with TabbyClient(server.url, read_timeout=0.2) as client, pytest.raises(errors.TimedOut):
        client.models()


def test_an_answer_that_is_cut_is_not_taken_for_whole(server):
    def script(peer):
        peer.head(200, "application/json", "Content-Length: 100")
        peer.send(b'{"data":[]}')

    server.script = script
    with TabbyClient(server.url) as client, pytest.raises(errors.Unreachable):
        client.models()


def test_what_is_not_http_is_garbled(server):
    server.script = lambda peer: peer.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    with TabbyClient(server.url) as client, pytest.raises(errors.Garbled):
        client.models()


def test_an_endless_body_is_bounded(server):
    def script(peer):
        peer.head(200, "application/json", "")
        while True:
            peer.send(b" " * 65536)

    server.script = script
    with TabbyClient(server.url) as client, pytest.raises(errors.Garbled, match="longer than"):
        client.models()


def test_a_connection_closed_while_idle_is_opened_again(server):
    """The server ends the connection instead of answering on it a second time."""
    server.keep_alive = True

    def script(peer):
        if len(server.requests) == 2:
            peer.reset()
        else:
            peer.answer(200, {"data": []})

    server.script = script
    with TabbyClient(server.url) as client:
        assert client.models() == []
        assert client.models() == []
    assert len(server.requests) == 3


def test_a_server_that_always_hangs_up_is_unreachable(server):
    server.script = lambda peer: peer.reset()
    with TabbyClient(server.url) as client, pytest.raises(errors.Unreachable):
        client.models()
    assert len(server.requests) == 2


def test_the_settings_make_a_client(settings, mocked):
    settings.TABBY_HOST = HOST
    settings.TABBY_ADMIN_KEY = "from-settings"
    mocked.get(f"{HOST}/v1/models", json={"data": []})
    with connections.client(SERVER) as client:
        client.models()
    assert mocked.calls[0].request.headers["Authorization"] == "Bearer from-settings"


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "a\\b", "a\x00b", "n" * 256])
def test_a_name_that_could_leave_the_model_folder_is_never_sent(tabby, name):
    with pytest.raises(errors.Rejected):
        tabby.load(name)
