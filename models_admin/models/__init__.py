"""The control plane's rows: servers and their catalog, each switch, each generation in flight, rules, tokens, and so on.

Who may write them: servers/catalog.py writes TabbyModel, but for what its files say (model_files/looks.py), what is
noted (the admin site, setup/importing.py) and whether it is retired (setup/retirement.py); servers/presence.py writes
Presence; servers/state_row.py writes Server, whose names servers/known.py writes; switching/transitions.py (with the
worker side beside it) writes Switch; switching/rollout.py writes Rollout; servers/loads.py writes Load;
switching/gate.py writes Lease; servers/worker_heartbeats.py writes Worker; automation/rules.py, setup/import_rules.py
and the admin site write Rule; api/tokens.py writes Token; api/idempotency.py writes RepeatKey; model_requests/asking.py
and model_requests/endings.py write ModelRequest; aliases/changes.py writes Alias and AliasChange; usage/recording.py
writes Usage; adding/transitions.py writes ModelDownload; checks/running.py writes CheckRun and CheckResult, the admin
site Check. Everybody may read.
"""

from models_admin.models.aliases import Alias, AliasChange, AliasEvent
from models_admin.models.checks import Check, CheckResult, CheckRun, RunKind, Verdict
from models_admin.models.model_downloads import DOWNLOADS_OPEN, DownloadState, ModelDownload
from models_admin.models.requests import ModelRequest, RequestState
from models_admin.models.rollouts import Rollout, RolloutState
from models_admin.models.rules import Rule, Trigger
from models_admin.models.rules import _weekdays as _weekdays  # a migration names it
from models_admin.models.servers import Presence, Server, TabbyModel, Worker
from models_admin.models.switches import ACTIVE, ENDED, GATED, Lease, Load, Source, State, Switch
from models_admin.models.tokens import RepeatKey, Token
from models_admin.models.usage import Usage, UsageOutcome

__all__ = (
    "ACTIVE",
    "DOWNLOADS_OPEN",
    "ENDED",
    "GATED",
    "Alias",
    "AliasChange",
    "AliasEvent",
    "Check",
    "CheckResult",
    "CheckRun",
    "DownloadState",
    "Lease",
    "Load",
    "ModelDownload",
    "ModelRequest",
    "Presence",
    "RepeatKey",
    "RequestState",
    "Rollout",
    "RolloutState",
    "Rule",
    "RunKind",
    "Server",
    "Source",
    "State",
    "Switch",
    "TabbyModel",
    "Token",
    "Trigger",
    "Usage",
    "UsageOutcome",
    "Verdict",
    "Worker",
)
