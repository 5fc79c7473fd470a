"""Examines the folder of a model: makes a report of all that its files say."""

from __future__ import annotations

from pathlib import Path

from models_admin.model_files import formats, memory, settings_files, weights
from models_admin.model_files.folder import Folder, TooSlow
from models_admin.model_files.report import Report, Unjudged


def examine(root: Path, name: str, deadline: float) -> Report:
    """Return the report on the model `name` in the folder `root`; what is not looked at by `deadline` is told.

    `deadline` is in time.monotonic(). A disk that hangs can hold this for ever: see looks.py.
    """
    report = Report()
    try:
        folder = Folder.open(root, name, deadline)
        report.found = True
        report.size = folder.size()
        _examine(folder, report)
    except Unjudged as error:
        report.unjudged(f"{error}.")
    except TooSlow:
        report.unjudged("The disk was too slow to look at all of its files.")
    return report


def _examine(folder: Folder, report: Report) -> None:
    settings_files.tabby_config(folder, report)
    config = settings_files.config(folder, report)
    settings_files.tokenizer(folder, report)
    settings_files.template(folder, report)
    report.context = memory.context(config)
    report.per_token = memory.per_token(config)
    if not any(each.name.endswith(".safetensors") for each in folder.entries.values()):
        formats.without_weights(folder, report)
        return
    tensors = weights.judge(folder, config, report)
    formats.judge(config, tensors, report)
    report.weights = memory.of_weights(tensors)
