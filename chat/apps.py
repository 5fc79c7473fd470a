from __future__ import annotations

from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "chat"

    def ready(self) -> None:
        """Tell the control plane who waits: it must not import the chat."""
        from chat.demand import demand  # noqa: PLC0415 (models can be imported from here on)
        from models_admin.demand import register  # noqa: PLC0415

        register(demand)
