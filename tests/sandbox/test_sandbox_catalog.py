"""The list of models, the card of the loaded one, health."""

from __future__ import annotations


async def test_the_list_has_the_shape_of_tabbyapis(sandbox):
    _, body = await sandbox.call("GET", "/v1/models")
    assert body["object"] == "list"
    assert [card["id"] for card in body["data"]][:3] == ["alpha", "beta", "big"]
    assert set(body["data"][0]) == {"id", "object", "created", "owned_by", "logging", "parameters"}
    assert body["data"][0]["parameters"] is None


async def test_the_list_answers_at_its_other_address(sandbox):
    assert (await sandbox.call("GET", "/v1/model/list"))[0] == 200


async def test_the_card_of_the_loaded_model_has_parameters(sandbox):
    await sandbox.load("eyes")
    _, card = await sandbox.call("GET", "/v1/model")
    assert set(card["parameters"]) == {
        "max_seq_len", "cache_size", "cache_mode", "rope_scale", "rope_alpha", "max_batch_size",
        "chunk_size", "prompt_template", "prompt_template_content", "use_vision", "draft",
    }  # fmt: skip
    assert card["parameters"]["use_vision"] is True
    assert card["parameters"]["draft"] is None


async def test_templates_are_listed_to_an_administrator(keyed):
    await keyed.call("POST", "/v1/model/load", {"model_name": "alpha"}, Authorization="Bearer boss")
    boss, user = {"Authorization": "Bearer boss"}, {"Authorization": "Bearer user"}
    assert (await keyed.call("GET", "/v1/templates", **boss))[1]["data"] == ["alpaca", "chatml"]
    assert (await keyed.call("GET", "/v1/templates", **user))[1]["data"] == ["from_tokenizer_config"]
    assert (await keyed.call("GET", "/v1/templates"))[0] == 401


async def test_a_template_can_be_switched_and_taken_away(sandbox):
    await sandbox.load("alpha", prompt_template="alpaca")
    assert await _template(sandbox) == "alpaca"
    await sandbox.call("POST", "/v1/template/switch", {"prompt_template_name": "chatml"})
    assert await _template(sandbox) == "chatml"
    assert (await sandbox.call("POST", "/v1/template/switch", {"prompt_template_name": "nowhere"}))[0] == 500
    assert (await sandbox.call("POST", "/v1/template/unload"))[0] == 200
    assert await _template(sandbox) is None
    refused = (422, {"detail": "Chat completions are disabled because a prompt template is not set."})
    assert await sandbox.whole("hello") == refused


async def _template(sandbox):
    return (await sandbox.call("GET", "/v1/model"))[1]["parameters"]["prompt_template"]


async def test_draft_models_are_those_of_the_model_folder_or_of_their_own(sandbox_with):
    sandbox, _ = await sandbox_with()
    listed = (await sandbox.call("GET", "/v1/model/draft/list"))[1]["data"]
    assert [card["id"] for card in listed][:2] == ["alpha", "beta"]
    sandbox, _ = await sandbox_with(server='draft_models = ["tiny"]')
    listed = (await sandbox.call("GET", "/v1/model/draft/list"))[1]["data"]
    assert [card["id"] for card in listed] == ["tiny"]


async def test_dummy_models_stand_in_front_and_cannot_be_loaded(sandbox_with):
    sandbox, _ = await sandbox_with(server='dummy_models = ["gpt-3.5-turbo"]')
    _, body = await sandbox.call("GET", "/v1/models")
    assert [card["id"] for card in body["data"]][:2] == ["gpt-3.5-turbo", "alpha"]
    assert (await sandbox.call("POST", "/v1/model/load", {"model_name": "gpt-3.5-turbo"}))[0] == 400


async def test_unknown_paths_and_methods_answer_as_json(sandbox):
    assert await sandbox.call("GET", "/v1/nothing") == (404, {"detail": "Not Found"})
    assert await sandbox.call("GET", "/v1/model/load") == (405, {"detail": "Method Not Allowed"})


async def test_issues_make_health_a_503_and_a_failed_load_does_not(sandbox):
    await sandbox.load("big")
    assert (await sandbox.call("GET", "/health"))[0] == 200
    await sandbox.state(issues=["The GPU fell off the bus."])
    status, body = await sandbox.call("GET", "/health")
    assert status == 503
    assert body["issues"][0]["description"] == "The GPU fell off the bus."
