"""The control plane's rows: the cached catalog, what is loaded, each switch, each generation in flight.

Who may write them: servers/catalog.py writes TabbyModel; servers/state_row.py writes Backend;
switching/transitions.py (with switching/runner.py, its worker side) writes Switch; servers/loads.py writes Load;
switching/gate.py writes Lease; servers/worker_heartbeats.py writes Worker; automation/rules.py and the admin site
write Rule; api/tokens.py writes Token; api/idempotency.py writes RepeatKey; model_requests/asking.py and
model_requests/endings.py write Wish. Everybody may read.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from models_admin import rule_words


class TabbyModel(models.Model):
    """A model in TabbyAPI's catalog; `name` is its directory there, and the id that TabbyAPI is given."""

    name = models.CharField(max_length=255, unique=True)
    display_name = models.CharField(max_length=255, blank=True)
    parameters_b = models.FloatField("parameters (billions)", null=True, blank=True)
    quantization = models.CharField(max_length=32, blank=True)
    bits = models.FloatField("bits per weight", null=True, blank=True)
    family = models.CharField(max_length=64, blank=True)
    tags = models.JSONField(default=list, blank=True)
    notes = models.TextField(blank=True)
    load_options = models.JSONField(default=dict, blank=True)
    visible = models.BooleanField("visible in chat", default=True)
    first_seen = models.DateTimeField(default=timezone.now, editable=False)
    last_seen = models.DateTimeField(default=timezone.now, editable=False)
    vanished_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_loaded = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "model"
        ordering = ["name"]
        permissions = [
            ("switch", "Can switch the loaded model"),
            ("unload", "Can unload the model"),
            ("manage", "Can manage models and automation"),
        ]

    def __str__(self) -> str:
        return self.display_name or self.name

    @property
    def present(self) -> bool:
        """Whether TabbyAPI listed it when last asked."""
        return self.vanished_at is None


class Backend(models.Model):
    """What TabbyAPI was last seen to run. There is one row, and its lock orders admissions and switches."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    model = models.CharField(max_length=255, blank=True)
    parameters = models.JSONField(default=dict)
    options = models.JSONField(default=dict)
    # How what the card shows (`parameters`) differs from the options that it was loaded with: see servers/differences.py.
    differences = models.JSONField(default=list)
    loaded_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    unreachable_since = models.DateTimeField(null=True)
    trouble = models.TextField(blank=True)
    advice = models.TextField(blank=True)
    catalog_at = models.DateTimeField(null=True)
    # What is wrong with TabbyAPI or its keys, shaped as finding.Finding.as_dict() says.
    findings = models.JSONField(default=list)
    # Counts changes of what is loaded. Who asked TabbyAPI before the last change must not write what it heard.
    epoch = models.PositiveBigIntegerField(default=0)
    # The model that somebody last chose, whatever has happened to TabbyAPI since (KEEP_MODEL=last loads it again).
    wanted = models.CharField(max_length=255, blank=True)
    # Since when TabbyAPI has said that nothing is loaded, at each look; null: it has not, or could not be asked.
    empty_since = models.DateTimeField(null=True)
    # It was seen not to run, and has said nothing since but that nothing is loaded: no load is under way there.
    anew = models.BooleanField(default=False)
    # It has lost its model, and not by Gantry's doing: KEEP_MODEL is to be loaded when it is empty for certain.
    keep_due = models.BooleanField(default=False)
    # When Gantry last started: a worker came, and no other was alive.
    started_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "backend"

    def __str__(self) -> str:
        return self.model or "no model loaded"


class State(models.TextChoices):
    """Where a switch stands. The order is the order of its life; ACTIVE and GATED below say what each implies."""

    QUEUED = "queued"
    DRAINING = "draining"
    UNLOADING = "unloading"
    LOADING = "loading"
    VERIFYING = "verifying"
    ROLLING_BACK = "rolling_back", "rolling back"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


GATED = (State.DRAINING, State.UNLOADING, State.LOADING, State.VERIFYING, State.ROLLING_BACK)
ACTIVE = (State.QUEUED, *GATED)
ENDED = (State.SUCCEEDED, State.FAILED, State.CANCELLED)


class Source(models.TextChoices):
    ADMIN = "admin"
    API = "api", "API"
    COMMAND = "command"
    ROLLBACK = "rollback"
    OUTSIDE = "outside"
    LATE = "late", "load given up"
    KEEP = "keep", "kept model"
    RULE = "rule"


class Switch(models.Model):
    """One attempt to change the loaded model, and its history. An empty target is an unload."""

    target = models.CharField(max_length=255, blank=True)
    previous = models.CharField(max_length=255, blank=True)
    options = models.JSONField(default=dict)
    previous_options = models.JSONField(default=dict)
    source = models.CharField(max_length=16, choices=Source)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="switches"
    )
    cause = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="attempts"
    )
    # The rule that asked for it, as it was called then; the rule itself may be changed or deleted since.
    rule = models.CharField(max_length=255, blank=True)
    # It gives way to people: not done if, once the gate is closed, a reply is in flight or somebody waits for one.
    only_if_idle = models.BooleanField(default=False)
    # It gives way to whatever model is loaded meanwhile: somebody has chosen that.
    only_if_empty = models.BooleanField(default=False)
    drain_seconds = models.FloatField()

    state = models.CharField(max_length=16, choices=State, default=State.QUEUED)
    # The percentage of the step at hand (0–100), and TabbyAPI's module count behind it.
    percent = models.PositiveSmallIntegerField(default=0)
    detail = models.CharField(max_length=255, blank=True)
    owner = models.CharField(max_length=128, blank=True)
    heartbeat = models.DateTimeField(default=timezone.now)
    cancel_requested = models.DateTimeField(null=True)
    let_go_at = models.DateTimeField(null=True)
    # When TabbyAPI was last told to unload for it. Until then, and until a load is sent, nothing has been changed there.
    unload_sent = models.DateTimeField(null=True)

    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    state_since = models.DateTimeField(default=timezone.now)
    seconds = models.JSONField(default=dict)  # {step: seconds}
    replies_cut = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    error_kind = models.CharField(max_length=32, blank=True)
    advice = models.TextField(blank=True)
    # What was loaded when it ended; None while it runs, and where TabbyAPI did not say it.
    result = models.CharField(max_length=255, null=True)  # noqa: DJ001 ('' is "nothing loaded")
    # The parameters on TabbyAPI's card when it ended, and how they differ from what was asked: see servers/differences.py.
    card = models.JSONField(default=dict)
    differences = models.JSONField(default=list)
    slot = models.PositiveSmallIntegerField(default=1, editable=False)

    class Meta:
        verbose_name_plural = "switches"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["slot"], condition=Q(state__in=ACTIVE), name="at_most_one_active_switch"
            )
        ]
        indexes = [
            models.Index(fields=["target", "state", "-id"], name="switches_by_target"),
            # Not partial: SQLite takes a partial index only where a query has its condition word by word.
            models.Index(fields=["state", "-id"], name="switches_by_state"),
            models.Index(fields=["source", "created_at"], name="switches_by_source"),
        ]

    def __str__(self) -> str:
        what = f"switch to {self.target}" if self.target else "unload"
        return f"{what} ({self.get_state_display()})"

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    def cancel_requested_now(self) -> bool:
        """Whether somebody has asked to cancel it, by the database as it is now."""
        return Switch.objects.filter(pk=self.pk, cancel_requested__isnull=False).exists()


class Load(models.Model):
    """A load that a switch has asked TabbyAPI for. Nothing stops a load: it is remembered until its end is known.

    They take effect in the order of their ids. A switch asks for its target, and on its way `back` for the model before.
    """

    switch = models.ForeignKey(Switch, on_delete=models.CASCADE, related_name="loads")
    back = models.BooleanField(default=False)
    model = models.CharField(max_length=255)
    options = models.JSONField(default=dict)
    sent_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    # It has ended, and well: the model came from it.
    succeeded = models.BooleanField(default=False)
    # Nobody waits for its end any more.
    given_up_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["switch", "back"], name="one_load_each_way"),
        ]
        indexes = [models.Index(fields=["ended_at", "sent_at"], name="loads_by_end")]

    def __str__(self) -> str:
        return f"load of {self.model} for switch {self.switch_id}"


class Lease(models.Model):
    """One generation in flight, held by a web process. No unload begins while one is left."""

    holder = models.CharField(max_length=128)
    subject = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)
    heartbeat = models.DateTimeField(default=timezone.now)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["holder"])]

    def __str__(self) -> str:
        return f"{self.subject} in {self.holder}"


class Worker(models.Model):
    """A Celery worker that said recently that it is alive."""

    name = models.CharField(max_length=128, primary_key=True)
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["seen_at"])]

    def __str__(self) -> str:
        return self.name


class Trigger(models.TextChoices):
    """What a rule waits for."""

    START = "start", "when Gantry starts: load a model"
    IDLE = "idle", "when nobody uses the model: unload it"
    TIME = "time", "at a set time: switch or unload"


def _weekdays() -> list[int]:
    return [1, 2, 3, 4, 5]


class Rule(models.Model):
    """A switch that happens by itself. automation/rules.py decides when; each leaves a Switch that names it.

    An empty target is the last model at a start, else an unload. `days` are ISO weekdays (1 = Monday); `at` is a time of
    day in TIME_ZONE.
    """

    name = models.CharField(max_length=100, blank=True)
    trigger = models.CharField(max_length=8, choices=Trigger)
    target = models.CharField(max_length=255, blank=True)
    enabled = models.BooleanField(default=True)
    days = models.JSONField(default=_weekdays)
    at = models.TimeField(null=True, blank=True)
    only_if_idle = models.BooleanField("only if idle", default=True)
    idle_minutes = models.FloatField(default=15.0)
    wait_minutes = models.PositiveIntegerField(default=60)

    # Occasions up to this one are done with; None: none is.
    handled_until = models.DateTimeField(null=True, editable=False)
    # The occasion that has come while the switch cannot be made yet.
    waits_for = models.DateTimeField(null=True, editable=False)
    last_run = models.DateTimeField(null=True, editable=False)
    # What came of the last run: a switch, or the words why there was none.
    last_switch = models.ForeignKey(
        Switch, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    note = models.TextField(blank=True, editable=False)

    class Meta:
        verbose_name = "automation rule"
        ordering = ["trigger", "at", "id"]
        default_permissions = ()  # `manage` is the permission for them

    def __str__(self) -> str:
        return self.name or self.words

    @property
    def words(self) -> str:
        """What it does, such as “Weekdays at 08:00: switch to X, if idle”."""
        """What the rule does, such as “Weekdays at 08:00: switch to X, if idle”."""
        match self.trigger:
            case Trigger.START:
                return f"At the start: load {self.target or 'the last model'}"
            case Trigger.IDLE:
                return f"Unload when idle for {rule_words.minutes(self.idle_minutes)}"
            case _:
                at = f" at {self.at.isoformat('seconds' if self.at.second else 'minutes')}" if self.at else ""
                what = f"switch to {self.target}" if self.target else "unload"
                return f"{rule_words.days(self.days)}{at}: {what}{', if idle' if self.only_if_idle else ''}"


class Token(models.Model):
    """A script's way into the HTTP API, in the name of a user. What is kept is a hash: the token itself is shown once."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    scopes = models.JSONField(default=list)  # of tokens.Scope
    digest = models.CharField(max_length=64, unique=True, editable=False)  # SHA-256, in hexadecimal
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField("expires", null=True, blank=True)
    last_used = models.DateTimeField(null=True, editable=False)  # to the minute
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "API token"
        ordering = ["-id"]
        default_permissions = ()  # everybody has their own

    def __str__(self) -> str:
        return self.name


class RepeatKey(models.Model):
    """An Idempotency-Key that a user sent, and the switch that its first request led to."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=128)
    request = models.CharField(max_length=64)  # SHA-256 of what was asked for, in hexadecimal
    switch = models.ForeignKey(Switch, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="one_request_per_key")]
        indexes = [models.Index(fields=["created_at"])]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.key} of user {self.user_id}"


class WishState(models.TextChoices):
    """Where a wish stands: open, or how it ended."""

    OPEN = "open"
    GRANTED = "granted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    GONE = "gone", "model gone"


class Wish(models.Model):
    """A user's request for a model, which they may not load themselves. People read “request”; here that is HTTP's word."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="wishes")
    target = models.CharField("model", max_length=255)
    reason = models.CharField(max_length=300, blank=True)
    state = models.CharField(max_length=16, choices=WishState, default=WishState.OPEN)
    # How often the user asked for it (again): what the limit against floods counts.
    times = models.PositiveIntegerField(default=1)
    asked_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    # An administrator's words to a user whose request was declined.
    answer = models.CharField(max_length=300, blank=True)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    # When the user put the notice of its end away.
    seen_at = models.DateTimeField(null=True)
    # With each write: who tells pages looks for what has changed lately.
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "request"
        ordering = ["asked_at", "id"]
        default_permissions = ()  # who may switch sees and answers them
        constraints = [
            models.UniqueConstraint(
                fields=["user", "target"], condition=Q(state="open"), name="one_open_wish_per_user_and_model"
            )
        ]
        indexes = [
            models.Index(fields=["changed_at"]),
            models.Index(fields=["state", "target"]),
            models.Index(fields=["ended_at"], name="wishes_by_end"),
        ]

    def __str__(self) -> str:
        return f"{self.user} asks for {self.target}"
