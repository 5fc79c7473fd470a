from __future__ import annotations

from django.apps import AppConfig


class ModelsAdminConfig(AppConfig):
    name = "models_admin"
    verbose_name = "Gantry"

    def ready(self) -> None:
        """Register the checks, and have requests for a model granted when it is loaded."""
        from models_admin import checks, wish_ends  # noqa: F401, PLC0415 (they need the models)
        from models_admin.backend import model_loaded  # noqa: PLC0415

        model_loaded.connect(wish_ends.grant)
