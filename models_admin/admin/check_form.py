"""The form of a check: what is asked, what the answer must fulfil, and the bounds of both."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from django import forms

from models_admin.admin.alias_form import catalog
from models_admin.checks import bounds
from models_admin.checks.languages import LANGUAGES
from models_admin.models import Check

if TYPE_CHECKING:
    Form = forms.ModelForm[Check]
else:  # which takes no parameter at run time
    Form = forms.ModelForm

T = TypeVar("T")
_PICTURES = {"image/png", "image/jpeg", "image/webp"}


class CheckForm(Form):
    """A check; what people write is bounded here."""

    model = forms.ChoiceField(label="For the model", required=False)
    language = forms.ChoiceField(
        label="is written in", required=False, choices=[("", "any language"), *LANGUAGES.items()]
    )
    prompt = forms.CharField(
        max_length=bounds.LONGEST_PROMPT,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 4, "class": "vLargeTextField"}),
    )
    system_prompt = forms.CharField(
        max_length=bounds.LONGEST_PROMPT, required=False, strip=False,
        widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}),
    )  # fmt: skip
    picture = forms.FileField(required=False, help_text="PNG, JPEG or WebP, sent with the prompt.")

    class Meta:
        model = Check
        fields = (
            "name", "enabled", "before_serving", "model", "tag", "prompt", "system_prompt", "sampling", "tools", "answers",
            "ends_within", "no_marks", "no_repeats", "no_gibberish", "contains", "excludes", "matches", "json_schema",
            "calls_tool", "language", "first_token_within", "least_rate", "least_share", "must_end",
        )  # fmt: skip
        help_texts = {
            "before_serving": "Run behind the closed gate after each load; a failure takes the switch back.",
            "tag": "Or for all models with this tag. Neither: for all.",
            "sampling": 'Such as {"temperature": 0, "max_tokens": 200}.',
            "tools": "A list in OpenAI's form.",
            "ends_within": "Tokens.",
            "contains": "A text on each line; capitals do not count.",
            "excludes": "A text on each line.",
            "matches": "A regular expression, without look arounds and references to groups.",
            "json_schema": "Written out, without references.",
            "first_token_within": "Seconds.",
            "least_share": "Per cent; 20 is generous. Never asks for more than 20 tokens a second.",
            "must_end": "Else an answer that is not whole within CHECK_SECONDS is not judged.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "model" not in self.fields:
            return  # who may only look has no fields
        names, current = catalog(), self.instance.model
        gone = [current] if current and current not in names else []
        choices = [("", "all models"), *((each, each) for each in [*names, *gone])]
        self.fields["model"].choices = choices  # type: ignore[attr-defined]
        for name in ("contains", "excludes", "sampling", "tools", "json_schema"):
            if name in self.fields:
                self.fields[name].widget.attrs["rows"] = 3

    def clean_sampling(self) -> dict[str, float]:
        return _bounded(bounds.options, self.cleaned_data["sampling"] or {})

    def clean_tools(self) -> list[dict[str, Any]]:
        return _bounded(bounds.tools, self.cleaned_data["tools"] or [])

    def clean_matches(self) -> str:
        given: str = self.cleaned_data["matches"]
        return _bounded(bounds.pattern, given) if given else ""

    def clean_json_schema(self) -> Any:
        given = self.cleaned_data["json_schema"]
        return None if given is None else _bounded(bounds.json_schema, given)

    def clean_contains(self) -> str:
        return _bounded(bounds.lines, self.cleaned_data["contains"])

    def clean_excludes(self) -> str:
        return _bounded(bounds.lines, self.cleaned_data["excludes"])

    def clean_picture(self) -> str:
        """Return the picture as it is sent; the one that is there stays where none is given."""
        given = self.cleaned_data["picture"]
        if not given:
            return self.instance.image
        kind = given.content_type if given.content_type in _PICTURES else "?"
        if given.size > bounds.MOST_IMAGE:
            raise forms.ValidationError(f"A picture may have {bounds.MOST_IMAGE:,} bytes.")
        return _bounded(bounds.image, f"data:{kind};base64,{base64.b64encode(given.read()).decode()}")

    def clean(self) -> dict[str, Any]:
        """Refuse more checks than a run can take, and one for a model and a tag at once."""
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if given.get("model") and given.get("tag"):
            self.add_error("tag", "A check is for a model or for a tag.")
        if self.instance.pk is None and Check.objects.count() >= bounds.MOST_CHECKS:
            self.add_error(None, f"There may be {bounds.MOST_CHECKS} checks.")
        if not self.errors:
            self.instance.image = given["picture"]
        return given


def _bounded(bound: Callable[[Any], T], given: Any) -> T:
    try:
        return bound(given)
    except ValueError as error:
        raise forms.ValidationError(str(error)) from None
