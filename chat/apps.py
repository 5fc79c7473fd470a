from __future__ import annotations

from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "chat"

    def ready(self) -> None:
        """Tell the control plane, which must not import the chat, who waits; keep the index of words."""
        from chat import words  # noqa: PLC0415 (models can be imported from here on)
        from chat.demand import demand  # noqa: PLC0415
        from models_admin.switching.demand import register  # noqa: PLC0415

        register(demand)
        words.start()
