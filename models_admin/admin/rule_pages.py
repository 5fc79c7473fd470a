"""The automation rules in the admin site: their list, with the next and the last run of each. rule_form.py has the form."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator, capfirst

from models_admin.admin.list_pages import ListPages
from models_admin.admin.moments import moment
from models_admin.admin.rule_form import EnabledForm, EnabledForms, RuleForm
from models_admin.automation import rules
from models_admin.models import Rule, State, Switch, TabbyModel, Trigger
from models_admin.models.rules import minutes_in_words
from models_admin.permissions import may_see_history, may_write_rules
from models_admin.presentation import switch_text
from models_admin.servers import known
from models_admin.switching import demand

if TYPE_CHECKING:
    AnyForm = forms.ModelForm[Rule]


@admin.register(Rule)
class RuleAdmin(ListPages[Rule]):
    """The list of rules, for users who may see the history. To change one takes all of permissions.OWN."""

    form = RuleForm
    listed_as = "Automation rules"
    empty_words = (
        "A rule loads or unloads a model by itself: at Gantry's start, at a set time, or when nobody uses it."
    )
    list_display = ("does", "next_run", "last_outcome", "enabled")
    list_editable = ("enabled",)
    list_select_related = ("last_switch",)
    readonly_fields = ("does", "next_run", "last_outcome")
    rule = (None, {"fields": ("name", "enabled", "trigger", "what")})
    condition = ("Condition", {"fields": ("days", "at", "only_if_idle", "idle_minutes", "wait_minutes")})
    so_far = ("So far", {"fields": ("next_run", "last_outcome")})

    class Media:
        css = {"all": ["models_admin/models.css", "models_admin/cards.css", "models_admin/rules.css"]}
        js = [forms.Script("models_admin/rules.js", type="module")]

    def get_fieldsets(self, request: HttpRequest, obj: Rule | None = None) -> Any:
        if not self.has_change_permission(request):
            return ((None, {"fields": ("does", "enabled", "next_run", "last_outcome")}),)
        return (self.rule, self.condition, self.so_far) if obj else (self.rule, self.condition)

    def get_changelist_form(self, request: HttpRequest, **kwargs: Any) -> Any:
        return super().get_changelist_form(request, **{"form": EnabledForm, **kwargs})

    def get_changelist_formset(self, request: HttpRequest, **kwargs: Any) -> Any:
        return super().get_changelist_formset(request, **{"formset": EnabledForms, **kwargs})

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_see_history(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_see_history(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A rule switches and unloads in nobody's name: whoever writes it must be allowed to do both."""
        return may_write_rules(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_add_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_add_permission(request)

    def save_model(self, request: HttpRequest, obj: Rule, form: AnyForm, change: bool) -> None:
        """Write only what was changed: a worker may be writing the outcome of the rule."""
        changed = ["target" if name == "what" else name for name in form.changed_data]
        if set(changed) - {"name"}:
            changed += rules.arm(obj)
        obj.save(update_fields=changed if change else None)

    @admin.display(description="Rule", ordering="trigger")
    def does(self, row: Rule) -> SafeString:
        """Show what it does, below its name if it has one, and whether its model is retired."""
        words = [format_html('<span class="gantry-name">{}</span>', row)]
        if row.name:
            words.append(format_html('<span class="gantry-quiet">{}</span>', row.words))
        if row.target and TabbyModel.objects.filter(name=row.target).exclude(retired_at=None).exists():
            hint = f"{row.target} is retired: the rule does nothing."
            words.append(format_html('<span class="gantry-hint">{}</span>', hint))
        return format_html_join("", "{}", ((each,) for each in words))

    @admin.display(description="Next run")
    def next_run(self, row: Rule) -> str:
        """Show when it is due next, as far as that is known."""
        if not row.enabled:
            return format_html('<span class="gantry-quiet">{}</span>', "disabled")
        match row.trigger:
            case Trigger.START:
                if not row.waits_for:
                    return "When Gantry starts next"
                return (
                    f"Waiting for TabbyAPI to start anew, or to be empty for {settings.KEEP_MODEL_AFTER:g} s"
                )
            case Trigger.IDLE:
                return _next_unload(row)
            case _:
                now = timezone.now()
                if row.waits_for and now <= (end := rules.deadline(row, row.waits_for)):
                    return format_html("Waiting until it can be done, at most until {}", moment(end))
                due = rules.next_time(row, now)
                return moment(due) if due else "never: it has no day"

    @admin.display(description="Last run")
    def last_outcome(self, row: Rule) -> str:
        """Show when it last ran, and how that ended."""
        if row.last_run is None:
            return "never"
        if row.last_switch is None:
            return format_html("{}: {}", moment(row.last_run), row.note or "its switch is no longer known.")
        return format_html(
            '{}: {} <a href="{}">Details</a>',
            moment(row.last_run),
            _outcome(row.last_switch),
            reverse("admin:models_admin_switch_change", args=[row.last_switch.pk]),
        )


def _next_unload(rule: Rule) -> str:
    minutes = minutes_in_words(rule.idle_minutes)
    idle = {each: since for each in known.all_servers() if (since := rules.idle_since(each)) is not None}
    if not idle:
        return "When a model is loaded and unused"
    due = {each: since for each, since in idle.items() if not rules.handled(each, rule, since)}
    if not due:
        return f"{minutes} after the next reply or load"
    if not (unused := [since for each, since in due.items() if not demand.in_use(each)]):
        return f"{minutes} after the last reply"
    return format_html("{}, if nobody writes", moment(min(unused) + timedelta(minutes=rule.idle_minutes)))


def _outcome(switch: Switch) -> SafeString:
    """Return in a few words how a rule's switch ended."""
    what = f"switch to {switch.target}" if switch.target else f"unload of {switch.previous or 'the model'}"
    if switch.tries:
        what = f"{switch.target} was tried: {switch_text.held(switch_text.tried(switch))}"
    match switch.state:
        case State.SUCCEEDED:
            return format_html('<span class="gantry-badge gantry-good">✓</span> {}.', what)
        case State.FAILED | State.CANCELLED:
            tone = "bad" if switch.state == State.FAILED else "idle"
            badge = format_html(
                '<span class="gantry-badge gantry-{}">{}</span>', tone, capfirst(switch.get_state_display())
            )
            error = Truncator(switch.error).chars(160)  # all of it is behind “Details”
            return format_html("{} {}: {}", badge, what, error)
        case _:
            return format_html(
                '<span class="gantry-badge gantry-busy">{}</span> {}.',
                capfirst(switch.get_state_display()),
                what,
            )
