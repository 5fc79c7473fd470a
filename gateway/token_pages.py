"""The page “API tokens”, for everybody who may chat: tokens for the scope “chat”, made, shown once, listed and revoked."""

from __future__ import annotations

from datetime import timedelta

from django import forms
from django.contrib import messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from models_admin.api import new_tokens, tokens
from models_admin.models import Token

MOST = 50  # valid tokens of one user, whatever they are for
DAYS = [(30, "30 days"), (90, "90 days"), (365, "a year"), (0, "until it is revoked")]


class TokenForm(forms.Form):
    """What a new token is for, and for how many days it counts."""

    name = forms.CharField(max_length=100)
    days = forms.TypedChoiceField(choices=DAYS, coerce=int, initial=90)

    def clean_name(self) -> str:
        return new_tokens.clean_name(self.cleaned_data["name"])


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def listed(request: HttpRequest) -> HttpResponse:
    """Show the user's tokens for chat; POST: make one."""
    form = TokenForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        if _valid(request.user).count() < MOST:
            days = form.cleaned_data["days"]
            expires = timezone.now() + timedelta(days=days) if days else None
            name = form.cleaned_data["name"]
            _, token = tokens.make(_user(request), name, [tokens.Scope.CHAT], expires)
            return new_tokens.lead_to(reverse("new-token"), token)
        form.add_error(None, f"You have {MOST} tokens. Revoke one that you do not need.")
    rows = Token.objects.filter(_for_chat(request.user), revoked_at=None)
    return render(
        request,
        "gateway/tokens.html",
        {
            "form": form,
            "tokens": rows,
            "now": timezone.now(),
            "address": request.build_absolute_uri(reverse("chat") + "v1"),
        },
    )


@never_cache
@login_required
@require_GET
def made(request: HttpRequest) -> HttpResponse:
    """Show the token that was just made, this once."""
    found = new_tokens.taken(request)
    if found is None:
        messages.info(request, new_tokens.ONCE)
        return HttpResponseRedirect(reverse("tokens"))
    row, token = found
    address = request.build_absolute_uri(reverse("chat") + "v1")
    page = render(request, "gateway/new_token.html", {"row": row, "token": token, "address": address})
    return new_tokens.shown(request, page)


@never_cache
@login_required
@require_POST
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """Revoke one of the user's tokens for chat."""
    row = get_object_or_404(Token, _for_chat(request.user), pk=pk)
    tokens.revoke(Token.objects.filter(pk=row.pk))
    messages.success(request, f"The token “{row}” is revoked: programs that send it are refused from now on.")
    return HttpResponseRedirect(reverse("tokens"))


def _for_chat(user: AbstractBaseUser | AnonymousUser) -> Q:
    """Return a condition for the user's tokens that are for chat alone; the others are shown in the admin site."""
    return Q(user_id=user.pk or 0, scopes=[tokens.Scope.CHAT.value])


def _valid(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Token]:
    unexpired = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return Token.objects.filter(unexpired, user_id=user.pk or 0, revoked_at=None)


def _user(request: HttpRequest) -> AbstractBaseUser:
    assert isinstance(request.user, AbstractBaseUser)  # noqa: S101 (login_required)
    return request.user


urlpatterns = [
    path("", listed, name="tokens"),
    path("made/", made, name="new-token"),
    path("<int:pk>/revoke/", revoke, name="revoke-token"),
]
