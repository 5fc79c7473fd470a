"""Checks before the old model is unloaded what TabbyAPI itself would check only afterwards: lists, options, files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from models_admin.model_files import looks, memory
from models_admin.model_files.report import Problem
from models_admin.models import Switch
from models_admin.servers import options as load_options
from models_admin.tabby.client import TabbyClient
from models_admin.tabby.errors import FilesRefused, ModelMissing, Rejected

MOST_NAMED = 10
MOST_PROBLEMS = 3  # that an error names
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


def look_at_files(switch: Switch) -> list[str]:
    """Return sentences on the files of the switch's target, and keep what was found; [] where MODELS_DIR is not set.

    Raises FilesRefused where TabbyAPI cannot load them, unless the switch goes on whatever they look like (`force`). What
    could not be looked at in time is no reason to refuse.
    """
    if not looks.configured():
        return []
    try:
        report = looks.look(switch.target)
    except looks.Silent as error:
        return [str(error)]
    looks.keep(switch.target, report)
    if not report.found:
        return []  # doctor tells where MODELS_DIR is another folder
    too_much = memory.too_much(report, switch.options, settings.GANTRY_VRAM_GB)
    problems = [*report.problems, *([too_much] if too_much else [])]
    if not problems:
        return [each for each in report.notes if not report.complete]
    if not Switch.objects.filter(pk=switch.pk, force=True).exists():
        raise _refusal(switch.target, problems)
    return [f"Loaded although {each.what}." for each in problems]


def _refusal(target: str, problems: list[Problem]) -> FilesRefused:
    more = len(problems) - MOST_PROBLEMS
    shown = "; ".join(each.what for each in problems[:MOST_PROBLEMS]) + (
        f"; and {more} more" if more > 0 else ""
    )
    return FilesRefused(
        f"{target} cannot be loaded: {shown}",
        advice=f"Nothing was unloaded. {problems[0].todo} {looks.ANYWAY}",
    )
