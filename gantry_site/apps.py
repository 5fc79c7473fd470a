from __future__ import annotations

from django.apps import AppConfig


class GantrySiteConfig(AppConfig):
    name = "gantry_site"
    verbose_name = "Site"

    def ready(self) -> None:
        from gantry_site import checks, refusals  # noqa: F401, PLC0415 (registers them; needs models)
        from models_admin.ops import diagnostics  # noqa: PLC0415

        diagnostics.further_examinations.append(refusals.findings)
