"""The columns of the Models page, for one request: cells depend on what is loaded and on the user's permissions."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe

from models_admin import permissions
from models_admin.admin import file_facts, report_pages
from models_admin.admin.moments import moment
from models_admin.models import State, TabbyModel
from models_admin.presentation import estimates
from models_admin.servers import known, names, presence, team
from models_admin.switching import transitions

Column = Callable[[TabbyModel], str | bool]


class Columns:
    """The columns of one page: what is loaded is read once, and each column is a method."""

    def __init__(self, server: int, request: HttpRequest) -> None:
        rows = team.rows()
        self.active = team.serving(rows)
        self.reachable = any(row.model == self.active and row.unreachable_since is None for row in rows)
        self.running = next(filter(None, map(transitions.active, known.all_servers())), None)
        self.servers = {row.name: (row.model, presence.on(row.pk)) for row in rows} if known.several() else {}
        self.loads = estimates.load_medians(server)
        self.may_switch = permissions.may_switch(request.user)
        self.may_manage = permissions.may_manage(request.user)
        self.may_unload = permissions.may_unload(request.user)

    def shown(self) -> list[str | Column]:
        """Return the columns in their order, without the buttons for users who may press none."""
        columns: list[str | Column] = [self.model, self.status, self.size, self.usual, self.last_loaded]
        return [*columns, self.control] if self.may_switch or self.may_unload else columns

    @admin.display(description="Model", ordering="name")
    def model(self, row: TabbyModel) -> str:
        """Show the name; below it the display name, the tags and a hint on a poor name."""
        lines = [format_html('<span class="gantry-name">{}</span>', row.name)]
        if row.display_name and row.display_name != row.name:
            lines.append(format_html('<span class="gantry-quiet">{}</span>', row.display_name))
        if row.tags:
            lines.append(format_html('<span class="gantry-quiet">{}</span>', ", ".join(row.tags)))
        if hint := names.hint(row.name):
            lines.append(format_html('<span class="gantry-hint" title="{}">poor name</span>', hint))
        lines.append(file_facts.warning(row))
        if self.may_manage:
            report = report_pages.address(row.name)
            lines.append(format_html(' <a href="{}" aria-label="Report on {}">Report</a>', report, row.name))
        return mark_safe("".join(lines))  # noqa: S308 (each part is escaped above)

    @admin.display(description="Status", ordering="-vanished_at")
    def status(self, row: TabbyModel) -> str:
        """Show whether it is loaded, being loaded, or gone; and which of several servers have it."""
        return (
            format_html("{}{}", self._standing(row), self._where(row))
            if self.servers
            else self._standing(row)
        )

    def _standing(self, row: TabbyModel) -> str:
        if words := self._under_way(row):
            return format_html('<span class="gantry-badge gantry-busy">{}</span>', words)
        if loaded := self._loaded(row):
            return loaded
        if row.retired_at:
            return format_html(
                '<span class="gantry-badge gantry-idle">Retired</span> since {}', moment(row.retired_at)
            )
        if row.vanished_at:
            return format_html(
                '<span class="gantry-badge gantry-bad">Missing</span> '
                '<span class="gantry-quiet">gone from TabbyAPI since {}</span>',
                moment(row.vanished_at),
            )
        return format_html('<span class="gantry-quiet">{}</span>', "Available")

    def _loaded(self, row: TabbyModel) -> str:
        """Return that it is the team's model, or loaded on one of several servers; '' if neither."""
        if row.name == self.active and self.reachable:
            return format_html('<span class="gantry-badge gantry-good">{}</span>', "✓ Active")
        if row.name == self.active:
            return format_html('<span class="gantry-badge">✓ Active</span> {}', "when last seen")
        if any(model == row.name for model, _ in self.servers.values()):
            return format_html('<span class="gantry-badge gantry-good">{}</span>', "✓ Loaded")
        return ""

    def _where(self, row: TabbyModel) -> str:
        """Return which of several servers have it, with a tick those that run it."""
        names = [
            f"✓ {name}" if model == row.name else name
            for name, (model, there) in self.servers.items()
            if model == row.name or row.name in there
        ]
        return format_html_join("", '<span class="gantry-where">{}</span>', ((each,) for each in names))

    def _under_way(self, row: TabbyModel) -> str:
        """Return what the running switch does with this model now; '' if nothing."""
        switch = self.running
        if switch is None or row.name not in (switch.target, switch.previous):
            return ""
        match switch.state, row.name == switch.target:
            case ((State.QUEUED | State.DRAINING), True):
                return "Next"
            case State.UNLOADING, False:
                return "Unloading…"
            case (State.LOADING | State.VERIFYING, True) | (State.ROLLING_BACK, False):
                return "Loading…"
            case _:
                return ""

    @admin.display(description="Size", ordering="parameters_b", empty_value="–")
    def size(self, row: TabbyModel) -> str:
        """Show parameters, quantization and the estimated memory, as far as the name gives them, and what the files say."""
        count = row.parameters_b
        facts = [] if count is None else [f"{count * 1000:.0f}M" if count < 1 else f"{count:.3g}B"]
        facts += [row.quantization] if row.quantization else []
        size = format_html('<span class="gantry-fact">{}</span>', " · ".join(facts)) if facts else ""
        if (need := names.vram_gb(count, row.bits)) is not None:
            size += format_html(
                ' <span class="gantry-fact gantry-quiet" title="An estimate: {}.">≈ {} GB VRAM</span>',
                names.VRAM_RULE,
                f"{need:g}",
            )
        for fact in file_facts.in_short(row):
            size += format_html(
                ' <span class="gantry-fact gantry-quiet" title="By its files">{}</span>', fact
            )
        return size

    @admin.display(description="Loads in")
    def usual(self, row: TabbyModel) -> str:
        """Show the usual seconds of a load: the median of its own past, else those of models of its size."""
        if row.name in self.loads:
            seconds, times = self.loads[row.name]
            of = f"The median of its last {times} loads" if times > 1 else "Its only load so far"
            return format_html('<span title="{}">{} s</span>', of, f"{max(1.0, seconds):.0f}")
        return format_html(
            '<span class="gantry-quiet" title="Usual for its size: it has not been loaded by Gantry yet">≈ {} s</span>',
            f"{estimates.usual_seconds(row.name):.0f}",
        )

    @admin.display(description="Last loaded", ordering="last_loaded")
    def last_loaded(self, row: TabbyModel) -> str:
        """Show when Gantry last saw it loaded."""
        return moment(row.last_loaded) if row.last_loaded else "never"

    @admin.display(description="Actions")
    def control(self, row: TabbyModel) -> str:
        """Show the buttons that this user may press for this row, disabled while a switch runs.

        Of several servers some may run a model that is to be loaded on the others, or to be unloaded from these.
        """
        running = [model == row.name for model, there in self.servers.values() if row.name in there]
        loaded, everywhere = row.name == self.active or any(running), all(running)
        buttons = []
        if (not loaded or not everywhere) and self.may_switch and row.present and row.retired_at is None:
            words = "Switch" if self.active or self.running else "Load"
            url = reverse("admin:models_admin_tabbymodel_switch", args=[row.pk])
            buttons.append(self._button(row, words, url))
        if loaded and self.may_unload:
            url = reverse("admin:models_admin_tabbymodel_unload")
            url += f"?{urlencode({'model': row.name})}" if self.servers else ""
            buttons.append(self._button(row, "Unload", url, " gantry-plain"))
        return format_html_join(" ", "{}", ((each,) for each in buttons))

    def _button(self, row: TabbyModel, words: str, url: str, looks: str = "") -> str:
        if self.running:
            return format_html('<span class="gantry-button{}" aria-disabled="true">{}</span>', looks, words)
        return format_html(
            '<a class="gantry-button{}" href="{}" data-dialog aria-label="{} {}">{}</a>',
            looks,
            url,
            words,
            row.name,
            words,
        )
