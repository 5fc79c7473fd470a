"""Checks before the old model is unloaded what TabbyAPI itself would check only afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models_admin.servers import options as load_options
from models_admin.tabby.client import TabbyClient
from models_admin.tabby.errors import ModelMissing, Rejected

MOST_NAMED = 10
# What TabbyAPI calls a template that comes with the model's own files: it is in no list, and needs none.
OWN_TEMPLATES = ("from_tokenizer_config", "chat_template", "tabby_template")


def check(client: TabbyClient, target: str, options: Mapping[str, Any]) -> None:
    """Raise ModelMissing or Rejected where `target` cannot be loaded with `options`, as far as TabbyAPI's lists show.

    Raises TabbyError where TabbyAPI cannot be asked.
    """
    if target not in client.models():
        raise ModelMissing(f"TabbyAPI no longer lists {target}")
    for name, why in load_options.impossible(options).items():
        raise Rejected(
            f"The load option {name} {why}", advice="Nothing was changed. Correct the option, and try again."
        )
    if draft := (options.get("draft_model") or {}).get("draft_model_name"):
        _listed("draft_model", f"the draft model {draft}", draft, client.draft_models())
    template = str(options.get("prompt_template") or "").removesuffix(".jinja")
    if template and template not in OWN_TEMPLATES:
        _listed("prompt_template", f"the prompt template {template}", template, client.templates())


def _listed(option: str, what: str, name: str, there: list[str] | None) -> None:
    """Raise Rejected where `name` is not among those that TabbyAPI lists; None: it lists none of the kind."""
    if there is None or name in there:
        return
    some = ", ".join(there[:MOST_NAMED]) + (" …" if len(there) > MOST_NAMED else "")
    choice = f"There are: {some}." if there else "It lists none."
    raise Rejected(
        f"The load option {option} asks for {what}, which TabbyAPI does not list",
        advice=f"Nothing was changed. {choice} Correct the option, and try again.",
    )
