"""Load options as form fields: on a model's page, and on the page that asks before a switch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from models_admin.servers.differences import IGNORED
from models_admin.servers.options import CHECKS, impossible

HAS_NO_EFFECT = "TabbyAPI ignores it. Empty it."
_AUTOMATIC = [("", "as TabbyAPI has it"), ("true", "yes"), ("false", "no")]


class Flag(forms.TypedChoiceField):
    """Yes, no, or not set."""

    def __init__(self, **settings: Any) -> None:
        coerce = {"true": True, "false": False}.__getitem__
        super().__init__(choices=_AUTOMATIC, coerce=coerce, empty_value=None, **settings)

    def prepare_value(self, value: Any) -> Any:
        return {True: "true", False: "false"}.get(value, value)


class Numbers(forms.CharField):
    """Numbers with commas between them, one for each GPU, such as `example`."""

    def __init__(self, *, example: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.example = example

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(f"{each:g}" for each in value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        words = str(value or "").replace(";", ",").split(",")
        try:
            return [float(word) for word in words if word.strip()] or None
        except ValueError:
            expected = f"a list of numbers, one for each GPU, such as {self.example}"
            raise forms.ValidationError(f"This must be {expected}.") from None


class Draft(forms.CharField):
    """The directory of a draft model; `kept` has what else is stored for it."""

    kept: Mapping[str, Any] = {}

    def prepare_value(self, value: Any) -> Any:
        return value.get("draft_model_name", "") if isinstance(value, dict) else value

    def to_python(self, value: Any) -> Any:
        name = str(value or "").strip()
        return {**self.kept, "draft_model_name": name} if name else None


class Alpha(forms.CharField):
    """A number, or “auto”."""

    def to_python(self, value: Any) -> Any:
        word = str(value or "").strip()
        try:
            return float(word) if word else None
        except ValueError:
            return word


class OptionFields(forms.Form):
    """TabbyAPI's load options, each with its own check. Once the form is valid, `options` has those that were given."""

    max_seq_len = forms.IntegerField(
        label="Context length",
        help_text="Tokens that the model sees at once. More needs more memory for the cache.",
    )
    cache_size = forms.IntegerField(
        label="Cache size",
        help_text="Tokens, a multiple of 256; at least the context length. It takes GPU memory.",
    )
    cache_mode = forms.CharField(
        label="Cache mode",
        help_text="FP16, Q8, Q6, Q4, or bits for keys and values such as 8,6. Less needs less memory.",
    )
    chunk_size = forms.IntegerField(
        label="Chunk size",
        help_text="Tokens of a prompt read at once, a multiple of 256. Less needs less memory.",
    )
    max_batch_size = forms.IntegerField(label="Batch size", help_text=HAS_NO_EFFECT)
    gpu_split_auto = Flag(label="Split over GPUs by itself")
    gpu_split = Numbers(
        label="GPU split", example="20, 22", help_text="GB for each GPU, with commas between them: 20, 22."
    )
    autosplit_reserve = Numbers(
        label="Reserved memory", example="96, 0", help_text="MB to leave free on each GPU: 96, 0."
    )
    tensor_parallel = Flag(label="Tensor parallel", help_text="Several GPUs work on each layer together.")
    vision = Flag(label="Vision", help_text="Load the part that sees pictures, too.")
    draft_model = Draft(
        label="Draft model", help_text="The directory of a small model that guesses ahead, for speed."
    )
    prompt_template = forms.CharField(
        label="Prompt template", help_text="The name of a template in TabbyAPI."
    )
    rope_scale = forms.FloatField(label="Rope scale", help_text=HAS_NO_EFFECT)
    rope_alpha = Alpha(label="Rope alpha", help_text=HAS_NO_EFFECT)

    def __init__(self, *args: Any, stored: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stored = dict(stored or {})
        self.options: dict[str, Any] = {}
        for name in CHECKS:
            if name in IGNORED and name not in self._stored:
                del self.fields[name]  # TabbyAPI does nothing with it: it is shown only to be emptied
                continue
            self.fields[name].required = False
            self.initial.setdefault(name, self._stored.get(name))
        draft, kept = self.fields["draft_model"], self._stored.get("draft_model")
        if isinstance(draft, Draft) and isinstance(kept, dict):
            draft.kept = kept

    def clean(self) -> dict[str, Any]:
        """Check each option that was given; an error stands beside its field."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        given = {name: cleaned.get(name) for name in CHECKS if name in self.fields}
        for name, value in given.items():
            if value in (None, "") or name in self.errors:
                continue
            if expected := CHECKS[name](value):
                self.add_error(name, f"This must be {expected}.")
            self.options[name] = value
        for name, why in impossible(self.options).items():
            if not self.errors:
                self.add_error(name, f"This {why}.")
        return cleaned

    def option_fields(self) -> list[forms.BoundField]:
        """Return the fields of the options, for a template."""
        return [self[name] for name in self.fields if name in CHECKS]


def offered(stored: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the options that a form offers: not those without effect, unless one is stored."""
    return tuple(name for name in NAMES if name not in IGNORED or name in stored)


NAMES = tuple(name for name in OptionFields.base_fields if name in CHECKS)


class OneTimeOptions(OptionFields):
    """What may be chosen for one switch: load options, how long replies in flight may take, and whether files count."""

    field_order = ("drain_seconds",)  # as the page shows them
    drain_seconds = forms.FloatField(
        label="Replies in flight may take", min_value=0, max_value=3600, help_text="Seconds; 0 cuts them at once.",
        required=False,
    )  # fmt: skip
    force = forms.BooleanField(
        label="Load it anyway", help_text="Although its files show that TabbyAPI cannot.", required=False,
        label_suffix="",
    )  # fmt: skip
    skip_checks = forms.BooleanField(
        label="Serve it anyway", help_text="Without the checks before serving.", required=False, label_suffix="",
    )  # fmt: skip

    def full_clean(self) -> None:
        """Check all fields; give the focus to the first that is wrong."""
        super().full_clean()
        for name in self.fields:
            if name in self.errors:
                self.fields[name].widget.attrs["autofocus"] = True
                return
