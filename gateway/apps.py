from __future__ import annotations

from django.apps import AppConfig


class GatewayConfig(AppConfig):
    name = "gateway"

    def ready(self) -> None:
        """Have calls stand in line, which the control plane must not import."""
        from gateway import line  # noqa: PLC0415 (models can be imported from here on)
        from models_admin.switching import admission  # noqa: PLC0415

        admission.register(line.provider)
