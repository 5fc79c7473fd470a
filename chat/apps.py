from __future__ import annotations

from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "chat"

    def ready(self) -> None:
        """Register replies for admission and feedback for reports; keep the index of words current."""
        from chat import opinions, queue, word_index  # noqa: PLC0415 (models can be imported from here on)
        from models_admin.presentation import model_reports  # noqa: PLC0415
        from models_admin.switching import admission  # noqa: PLC0415

        admission.register(queue.provider)
        model_reports.opinions.append(opinions.of_model)
        word_index.start()
