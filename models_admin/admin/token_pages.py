"""API tokens in the admin site: everybody who may enter it makes and revokes their own; a superuser sees all.

A token is shown once, on the page to which its form leads (api/new_tokens.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from models_admin.admin.list_pages import ListPages
from models_admin.admin.moments import moment
from models_admin.api import new_tokens, tokens
from models_admin.models import Token
from models_admin.permissions import may_set_limits

if TYPE_CHECKING:
    Form = forms.ModelForm[Token]
else:  # which takes no parameter at run time
    Form = forms.ModelForm


MADE = "admin:models_admin_token_made"
LIMITS = ("calls_at_once", "requests_per_minute", "tokens_per_day", "speaks_for_others")
SHOWN = ("name", "state", "user", "may", "made", "expires", "used", "revoked")


class TokenForm(Form):
    """What a new token is for."""

    scopes = forms.MultipleChoiceField(
        choices=tokens.Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        initial=[tokens.Scope.READ],
        help_text="A token can never do more than your account may. Give it only what its script needs.",
    )

    class Meta:
        model = Token
        fields = ("name", "scopes", "expires_at")
        help_texts = {
            "name": "What it is for, such as “nightly switch on build3”.",
            "expires_at": "From then on it is refused. Empty: it counts until it is revoked.",
        }

    def clean_name(self) -> str:
        return new_tokens.clean_name(self.cleaned_data["name"])

    def clean_expires_at(self) -> Any:
        """Refuse a time that has passed."""
        return new_tokens.clean_expires_at(self.cleaned_data["expires_at"])


class LimitsForm(Form):
    """What a token may take, and for whom it speaks."""

    class Meta:
        model = Token
        fields = LIMITS
        help_texts = {
            "calls_at_once": "Under /v1. Empty: as the settings say. 0: no limit.",
            "requests_per_minute": "In the same way.",
            "tokens_per_day": "Of prompts and answers, in the same way.",
            "speaks_for_others": "A program that serves many people, such as Open WebUI, names the one for whom it calls: "
            "usage, limits of a user and the place in line are then that person's. Only for programs that you trust.",
        }


@admin.register(Token)
class TokenAdmin(ListPages[Token]):
    """Tokens are made, shown and revoked; of one that is there only its limits are changed, by a superuser.

    A revoked one is kept, to know what was used when.
    """

    form = TokenForm
    listed_as = "API tokens"
    empty_words = "A token lets a script use the HTTP API in your name, for no more than you choose."
    list_select_related = ("user",)
    search_fields = ("name",)
    ordering = ("-id",)
    actions = ("revoke_selected",)
    change_form_template = "admin/models_admin/token/change_form.html"

    class Media:
        css = {"all": ["models_admin/models.css", "models_admin/cards.css"]}

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        whose = ("user",) if _sees_all(request) else ()
        return ("name", "state", *whose, "may", "expires", "used", "made")

    def get_fields(self, request: HttpRequest, obj: Token | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("name", "scopes", "expires_at")
        return (*SHOWN, *LIMITS) if tokens.Scope.CHAT in obj.scopes else SHOWN

    def get_readonly_fields(self, request: HttpRequest, obj: Token | None = None) -> tuple[str, ...]:
        return () if obj is None else SHOWN

    def get_form(
        self, request: HttpRequest, obj: Token | None = None, change: bool = False, **kwargs: Any
    ) -> type[Form]:
        """Return the form of a new token, or that of a token's limits."""
        return super().get_form(
            request, obj, change, **(kwargs if obj is None else {**kwargs, "form": LimitsForm})
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Token]:
        rows = super().get_queryset(request)
        return rows if _sees_all(request) else rows.filter(user=request.user.pk)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.admin_site.has_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Token | None = None) -> bool:
        mine = obj is None or obj.user_id == request.user.pk or _sees_all(request)
        return mine and self.admin_site.has_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.admin_site.has_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Token | None = None) -> bool:
        limited = obj is not None and obj.revoked_at is None and tokens.Scope.CHAT in obj.scopes
        return limited and may_set_limits(request.user) and self.has_view_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Token | None = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest, obj: Token | None = None) -> bool:
        """Whoever sees a token may revoke it."""
        return self.has_view_permission(request, obj)

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(each, self.admin_site.admin_view(view), name=f"models_admin_token_{name}")
            for each, view, name in (
                ("<int:pk>/revoke/", self.revoke_view, "revoke"),
                ("made/", self.made_view, "made"),
            )
        ]
        return [*own, *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: Token, form: Form, change: bool) -> None:
        """Make the token, for the user who asks; leave it for response_add() in the request. Or change its limits."""
        given = form.cleaned_data
        if change:
            tokens.limit(obj.pk, given)
            return
        if request.user.pk is None:
            raise PermissionDenied
        row, token = tokens.make(request.user, given["name"], given["scopes"], given["expires_at"])
        obj.__dict__.update(row.__dict__)
        request.gantry_new_token = token  # type: ignore[attr-defined]

    def response_add(
        self, request: HttpRequest, obj: Token, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Redirect to the page that shows the token, so that a reload makes no other."""
        return new_tokens.lead_to(reverse(MADE), request.gantry_new_token)  # type: ignore[attr-defined]

    def made_view(self, request: HttpRequest) -> HttpResponse:
        """Show the token that was just made, this once."""
        found = new_tokens.taken(request)
        if found is None:
            messages.info(request, new_tokens.ONCE)
            return HttpResponseRedirect(reverse("admin:models_admin_token_changelist"))
        row, token = found
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Copy your new token",
            "row": row,
            "token": token,
            "address": request.build_absolute_uri(reverse("api-1:api-root") + "models/active"),
            "media": self.media,
        }
        page = TemplateResponse(request, "admin/models_admin/token/made.html", context)
        return new_tokens.shown(request, page)

    def revoke_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """POST: revoke one token."""
        row = get_object_or_404(self.get_queryset(request), pk=pk)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        self._revoke(request, Token.objects.filter(pk=row.pk))
        return HttpResponseRedirect(reverse("admin:models_admin_token_changelist"))

    @admin.action(description="Revoke selected tokens", permissions=["revoke"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[Token]) -> None:
        """Revoke the selected tokens."""
        self._revoke(request, queryset)

    def _revoke(self, request: HttpRequest, rows: QuerySet[Token]) -> None:
        live = list(rows.filter(revoked_at=None))
        count = tokens.revoke(Token.objects.filter(pk__in=[row.pk for row in live]))
        for row in live:
            self.log_change(request, row, "Revoked the token.")
        if count:
            what = f"The token “{live[0]}” is" if count == 1 else f"{count} tokens are"
            messages.success(request, f"{what} revoked: scripts that send it are refused from now on.")
        else:
            messages.info(request, "Nothing was left to revoke.")

    # The columns

    @admin.display(description="State")
    def state(self, row: Token) -> SafeString:
        tone, word = "good", "Active"
        if row.revoked_at is not None:
            tone, word = "bad", "Revoked"
        elif row.expires_at is not None and row.expires_at <= timezone.now():
            tone, word = "idle", "Expired"
        return format_html('<span class="gantry-badge gantry-{}">{}</span>', tone, word)

    @admin.display(description="Scopes")
    def may(self, row: Token) -> str:
        return ", ".join(row.scopes)

    @admin.display(description="Made", ordering="created_at")
    def made(self, row: Token) -> SafeString:
        return moment(row.created_at)

    @admin.display(description="Expires", ordering="expires_at")
    def expires(self, row: Token) -> str:
        return moment(row.expires_at) if row.expires_at else "never"

    @admin.display(description="Last used", ordering="last_used")
    def used(self, row: Token) -> str:
        return moment(row.last_used) if row.last_used else "never"

    @admin.display(description="Revoked")
    def revoked(self, row: Token) -> str:
        return moment(row.revoked_at) if row.revoked_at else "no"


def _sees_all(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))
