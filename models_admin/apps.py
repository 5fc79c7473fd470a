from __future__ import annotations

from django.apps import AppConfig


class ModelsAdminConfig(AppConfig):
    name = "models_admin"
    verbose_name = "Gantry"

    def ready(self) -> None:
        """Register the checks, and have requests for a model granted when it is loaded."""
        from models_admin.model_requests import endings  # noqa: PLC0415 (they need the models)
        from models_admin.ops import checks  # noqa: F401, PLC0415 (they need the models)
        from models_admin.servers.state_row import model_loaded  # noqa: PLC0415

        model_loaded.connect(endings.grant)
