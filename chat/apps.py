from __future__ import annotations

from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "chat"

    def ready(self) -> None:
        """Have replies stand in line, which the control plane must not import; keep the index of words."""
        from chat import queue, word_index  # noqa: PLC0415 (models can be imported from here on)
        from models_admin.switching import admission  # noqa: PLC0415

        admission.register(queue.provider)
        word_index.start()
