from __future__ import annotations

import pytest

from models_admin.tabby import errors, failures
from models_admin.tabby.access import Access


@pytest.mark.parametrize(
    "words",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 8.00 GiB total)",
        "torch.OutOfMemoryError: Allocation on device",
        "Insufficient VRAM in split for model and cache",
        "insufficient space in device allocation",
        "Unable to allocate 512 MiB for the cache",
    ],
)
def test_a_load_that_does_not_fit_is_out_of_memory(words):
    error = failures.load_failure("big", words)
    assert (type(error), error.kind, error.words) == (errors.OutOfMemory, "out_of_memory", words)
    assert "smaller" in error.advice


@pytest.mark.parametrize(
    "words",
    [
        "Error while deserializing header: HeaderTooLarge",
        "safetensors_rust.SafetensorError: invalid offset",
        "[Errno 2] No such file or directory: '/models/x/config.json'",
        "file model-00002.safetensors is truncated",
        "Expecting value: line 1 column 1 (char 0)",
    ],
)
def test_a_load_that_cannot_read_its_files_has_broken_files(words):
    error = failures.load_failure("torn", words)
    assert (type(error), error.kind) == (errors.FilesBroken, "files_broken")
    assert "download" in error.advice


def test_any_other_load_error_keeps_its_words():
    error = failures.load_failure("odd", "Models quantized with 'gptq' require the exllamav2 backend")
    assert (type(error), error.kind) == (errors.LoadFailed, "load_failed")
    assert (
        str(error)
        == "TabbyAPI could not load odd: Models quantized with 'gptq' require the exllamav2 backend."
    )


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b'{"detail":"Invalid admin key"}', "key_refused"),
        (403, b"", "key_refused"),
        (503, b'{"detail":"No models are currently loaded."}', "not_loaded"),
        (400, b'{"detail":"No models are currently loaded."}', "not_loaded"),
        (503, b'{"detail":"Model is loading"}', "busy"),
        (429, b"", "busy"),
        (
            400,
            b'{"detail":"Could not find the model path for load. Check model name or config.yml?"}',
            "model_missing",
        ),
        (400, b'{"error":{"message":"too long","code":"context_length_exceeded"}}', "context_overflow"),
        (400, b'{"detail":"bad"}', "rejected"),
        (422, b'{"detail":[{"loc":["body","cache_size"],"msg":"must be a multiple of 256"}]}', "rejected"),
        (500, b"Internal Server Error", "server_fault"),
        (502, b"<html>Bad Gateway</html>", "server_fault"),
        (302, b"", "garbled"),
        (404, b'{"detail":"Not Found"}', "garbled"),
    ],
)
def test_a_status_becomes_its_kind(status, body, kind):
    assert Access("http://t:1").failure(status, "listing the models", body).kind == kind


def test_the_words_of_a_list_of_problems_name_the_option():
    body = b'{"detail":[{"loc":["body","cache_size"],"msg":"wrong"},{"loc":["body"],"msg":"worse"}]}'
    assert Access("http://t:1").failure(422, "loading x", body).words == "cache_size: wrong; worse"


def test_html_gives_no_words():
    error = Access("http://t:1").failure(502, "loading x", b"<!doctype html><h1>Bad Gateway</h1>")
    assert error.words == ""
    assert str(error) == "TabbyAPI failed (502) while loading x."


def test_words_are_bounded_and_control_characters_are_shown_not_sent():
    error = errors.StreamError("It stopped", "a\x00b\x1b[31m\ud800c\r\nd" + "x" * 9999)
    assert error.words.startswith("a␀b␛[31m\ufffdc\nd")
    assert len(error.words) == errors.MAX_WORDS


def test_a_key_in_tabbys_words_is_hidden():
    access = Access("http://t:1", "admin-secret", "api-secret")
    error = access.failure(401, "unloading", b'{"detail":"admin-secret and api-secret are wrong"}')
    assert "secret" not in str(error)
    assert "secret" not in repr(access)


def every_kind(base: type[errors.TabbyError]) -> list[type[errors.TabbyError]]:
    return [base, *(kind for child in base.__subclasses__() for kind in every_kind(child))]


def test_every_kind_has_its_own_code_and_advice_and_is_in_the_tree():
    kinds = every_kind(errors.TabbyError)[1:]
    assert len({kind.kind for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert kind.default_advice.endswith(".")
        assert f" {kind.__name__} " in (errors.__doc__ or "")
        assert f" {kind.kind} " in (errors.__doc__ or "")


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("http://tabbyapi:5000", "http://tabbyapi:5000"),
        (" http://tabbyapi:5000/ ", "http://tabbyapi:5000"),
        ("http://tabbyapi:5000/v1", "http://tabbyapi:5000"),
        ("https://me:secret@gpu.example/tabby/", "https://gpu.example/tabby"),
        ("http://[::1]:5000", "http://[::1]:5000"),
    ],
)
def test_an_address_is_taken_in_any_usual_form(host, base):
    assert Access(host).base == base


@pytest.mark.parametrize("host", ["", "tabbyapi:5000", "ftp://x", "http://", "http://x:99999", "http://[::1"])
def test_what_is_no_address_is_said_to_be_none(host):
    with pytest.raises(errors.Unreachable, match="TABBY_HOST is not an http address"):
        _ = Access(host).base


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", ""),
        ("It broke", "It broke."),
        ("It broke.", "It broke."),
        ("Is it on?", "Is it on?"),
        ("It waits…", "It waits…"),
        ("It said “no.”", "It said “no.”"),
        ("(nothing more was said)", "(nothing more was said)."),
        ("It broke:\n", "It broke."),
    ],
)
def test_sentences_end_with_full_stops(text, read):
    assert errors.sentence(text) == read


def test_an_error_is_a_sentence_whatever_tabbyapi_says():
    assert str(errors.ServerFault("It failed", "no more room")) == "It failed: no more room."
    assert str(errors.ServerFault("It failed", "No more room.")) == "It failed: No more room."
    assert str(errors.ServerFault("It failed")) == "It failed."
