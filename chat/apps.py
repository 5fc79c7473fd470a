from __future__ import annotations

from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "chat"

    def ready(self) -> None:
        """Register replies for admission, which must not import the chat; keep the index of words current."""
        from chat import queue, word_index  # noqa: PLC0415 (models can be imported from here on)
        from models_admin.switching import admission  # noqa: PLC0415

        admission.register(queue.provider)
        word_index.start()
