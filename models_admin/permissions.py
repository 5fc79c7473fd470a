"""Who may do what: the only module that asks for a user's permissions. Each function may read the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, PermissionsMixin

    User = AbstractBaseUser | AnonymousUser | PermissionsMixin

OWN = ("switch", "unload", "manage")  # of this application's models, each a right to change something
LOOKING = ("view_tabbymodel", *OWN)  # each of them lets its holder see the whole catalog and the history


def has_any(user: User, *names: str) -> bool:
    """Whether the user has one of these permissions of models_admin (such as "switch")."""
    return any(user.has_perm(f"models_admin.{name}") for name in names)  # type: ignore[union-attr]


def may_switch(user: User) -> bool:
    """Whether the user may change the loaded model."""
    return has_any(user, "switch")


def may_unload(user: User) -> bool:
    """Whether the user may unload the model."""
    return has_any(user, "unload")


def may_manage(user: User) -> bool:
    """Whether the user may change what is noted about models."""
    return has_any(user, "manage")


def may_refresh(user: User) -> bool:
    """Whether the user may have TabbyAPI asked for its models."""
    return has_any(user, *OWN)


def may_see_history(user: User) -> bool:
    """Whether the user sees the whole catalog, the history and the rules."""
    return has_any(user, *LOOKING)


def may_write_rules(user: User) -> bool:
    """Whether the user may write rules: that takes all of OWN, because a rule switches and unloads in nobody's name."""
    return all(has_any(user, name) for name in OWN)


def may_manage_aliases(user: User) -> bool:
    """Whether the user may make, change and retire aliases of models; whoever sees the history sees them."""
    return has_any(user, "manage")


def may_change_groups(user: User) -> bool:
    """Whether the user may make groups, and say what their members may do."""
    return user.has_perms(("auth.add_group", "auth.change_group"))  # type: ignore[union-attr]


def may_set_limits(user: User) -> bool:
    """Whether the user may set what a token may take, and for whom it may speak: nobody widens his own."""
    return bool(getattr(user, "is_superuser", False) and getattr(user, "is_active", False))


def may_see_usage(user: User) -> bool:
    """Whether the user sees what everybody's replies took."""
    return has_any(user, "manage")


def may_see_feedback(user: User) -> bool:
    """Whether the user sees what readers say of replies."""
    return has_any(user, "manage")


def may_request_models(user: User) -> bool:
    """Whether the user may ask others for a model: whoever may switch has nobody to ask."""
    return not may_switch(user)


def may_answer_requests(user: User) -> bool:
    """Whether the user sees what people ask for, and may decline it."""
    return has_any(user, "switch", "manage")
