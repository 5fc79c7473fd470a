"""The form of an automation rule: which fields each trigger needs, and the errors in them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils import timezone

from models_admin.automation import rules
from models_admin.models import Rule, TabbyModel, Trigger
from models_admin.models.rules import DAYS
from models_admin.visible import visible

if TYPE_CHECKING:
    Form = forms.ModelForm[Rule]
    FormSet = forms.BaseModelFormSet[Rule, Form]
else:  # which take no parameter at run time
    Form = forms.ModelForm
    FormSet = forms.BaseModelFormSet

# Values of the form's “what”; a model's name follows MODEL and TRY.
LAST, UNLOAD, MODEL, TRY = "last", "unload", "model:", "try:"


class EnabledForm(Form):
    """A row of the list: whether the rule is enabled."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["enabled"].widget.attrs["aria-label"] = f"Enabled: {self.instance}"


class EnabledForms(FormSet):
    """All rows of the list."""

    def clean(self) -> None:
        """Refuse to enable a second rule for the same moment, as the rules will be when all rows are saved."""
        super().clean()
        shown = {form.instance.pk: form.instance for form in self.forms}
        rest = Rule.objects.filter(enabled=True).exclude(pk__in=shown)
        enabled = [*(each for each in shown.values() if each.enabled), *rest]
        for form in self.forms:
            rule = form.instance
            if (
                "enabled" in form.changed_data
                and rule.enabled
                and (other := rules.conflicting(rule, enabled))
            ):
                form.add_error(None, _conflict_message(other))


def _choices(current: str) -> list[tuple[str, Any]]:
    """Return what a rule can do: its choices, with the present models and the one that it names already."""
    names = list(TabbyModel.offered().values_list("name", flat=True))
    models = [(f"{MODEL}{name}", name) for name in names]
    if current and current not in names:
        models.append((f"{MODEL}{current}", f"{current} (gone, or retired)"))
    return [
        ("", "---------"),
        (LAST, "Load the last model"),
        (UNLOAD, "Unload"),
        ("Load or switch to", models),
        ("Try out, and go back", [(f"{TRY}{value.removeprefix(MODEL)}", label) for value, label in models]),
    ]


class RuleForm(Form):
    """When, what, and under which condition. Fields that the trigger does not use are not checked."""

    what = forms.ChoiceField(
        required=False,
        help_text="At the start: the last model (the one that was chosen last) or a named one. "
        "At a set time: a model, Unload, or a model to try out: its checks are run, and the one before is loaded again. "
        "A TabbyAPI that was there before Gantry started must first be empty for a while (KEEP_MODEL_AFTER): "
        "all through somebody's load it says that nothing is loaded.",
    )
    days = forms.TypedMultipleChoiceField(
        label="On",
        coerce=int,
        initial=[1, 2, 3, 4, 5],
        choices=list(DAYS.items()),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    class Meta:
        model = Rule
        fields = ("name", "enabled", "trigger", "days", "at", "only_if_idle", "idle_minutes", "wait_minutes")
        labels = {
            "trigger": "When",
            "at": "At",
            "idle_minutes": "Idle for (minutes)",
            "wait_minutes": "May wait to be idle (minutes)",
        }
        help_texts = {
            "name": "What the history calls it. Left empty: what it does, in words.",
            "only_if_idle": "Nobody is interrupted: while a reply is being written or a message waits, the rule waits too.",
            "idle_minutes": "How long no reply must have been written. An unload counts from the end of the last reply "
            "or from the load, whichever was later.",
            "wait_minutes": "How long after the set time it may still be done; then it is skipped until the next day. "
            f"A rule always waits {rules.GRACE // timedelta(minutes=1)} minutes, such as for a switch under way to end.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "what" not in self.fields or "at" not in self.fields:
            return  # who may only look has no fields
        rule = self.instance
        self.fields["what"].choices = _choices(rule.target)  # type: ignore[attr-defined]
        if rule.pk:
            nothing = LAST if rule.trigger == Trigger.START else UNLOAD
            kind = TRY if rule.tries else MODEL
            self.initial["what"] = f"{kind}{rule.target}" if rule.target else nothing
        minutes = self.initial.get("idle_minutes", self.fields["idle_minutes"].initial)
        if minutes is not None and float(minutes).is_integer():
            self.initial["idle_minutes"] = int(minutes)  # 15, not 15.0
        zone = timezone.get_default_timezone_name()
        self.fields["at"].help_text = f"Such as 08:00, in the time zone {zone}."
        self.fields["wait_minutes"].widget.attrs["max"] = 1440

    def clean_name(self) -> str:
        return visible(self.cleaned_data["name"])

    def clean(self) -> dict[str, Any]:
        """Check what the trigger needs, and that no second rule is due at the same moment."""
        given: dict[str, Any] = super().clean() or self.cleaned_data
        check = {
            Trigger.START: self._check_start, Trigger.IDLE: self._check_idle, Trigger.TIME: self._check_time
        }.get(given.get("trigger", ""))  # fmt: skip
        if check is not None:
            check(given)
        if not self.errors:
            what = given["what"]
            kind = next((each for each in (MODEL, TRY) if what.startswith(each)), None)
            self.instance.target = what.removeprefix(kind) if kind else ""
            self.instance.tries = kind == TRY
            self._check_conflict(given)
        return given

    def _check_start(self, given: dict[str, Any]) -> None:
        if given.get("what") == UNLOAD or str(given.get("what")).startswith(TRY):
            self.add_error("what", "At the start a model is loaded: choose the last one, or one by its name.")

    def _check_idle(self, given: dict[str, Any]) -> None:
        if given.get("what") not in ("", UNLOAD, None):
            self.add_error("what", "When nobody uses it, the model is unloaded: choose Unload.")
        minutes = given.get("idle_minutes")
        if minutes is not None and not rules.SHORTEST_IDLE <= minutes <= 100_000:
            self.add_error(
                "idle_minutes", f"Give the minutes after which to unload, {rules.SHORTEST_IDLE:g} at least."
            )

    def _check_time(self, given: dict[str, Any]) -> None:
        if given.get("what") in ("", LAST):
            self.add_error("what", "Choose the model to switch to, or Unload.")
        if given.get("at") is None and "at" not in self.errors:
            self.add_error("at", "Give the time of day, such as 08:00.")
        if not given.get("days") and "days" not in self.errors:
            self.add_error("days", "Choose at least one day.")
        if (given.get("wait_minutes") or 0) > 1440:
            self.add_error("wait_minutes", "Wait for a day (1440 minutes) at most: then it is due again.")
        minutes = given.get("idle_minutes")
        if minutes is not None and not 0 <= minutes <= 100_000:
            self.add_error("idle_minutes", "Give minutes; 0 asks only whether it is idle at that moment.")

    def _check_conflict(self, given: dict[str, Any]) -> None:
        rule = Rule(pk=self.instance.pk, **{name: given[name] for name in ("trigger", "at", "days")})
        if given.get("enabled") and (other := rules.conflicting(rule, Rule.objects.filter(enabled=True))):
            self.add_error(None, _conflict_message(other))


def _conflict_message(other: Rule) -> str:
    return f"“{other}” is due at the same time. Change that one or disable it, or disable this one."
