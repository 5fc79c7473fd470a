from __future__ import annotations

from django.apps import AppConfig


class ModelsAdminConfig(AppConfig):
    name = "models_admin"
    verbose_name = "Gantry"

    def ready(self) -> None:
        from models_admin import checks  # noqa: F401, PLC0415 (registers them; needs the models)
