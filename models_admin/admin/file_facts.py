"""What is known of a model's files, for the Models page, the model's own page, and the page that asks before a switch."""

from __future__ import annotations

from django.conf import settings
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from models_admin.admin.moments import moment
from models_admin.model_files import memory
from models_admin.model_files.report import Problem, Report, gigabytes
from models_admin.models import TabbyModel


def problems(row: TabbyModel) -> list[Problem]:
    """Return why the model cannot be loaded with its own options, as its files were when last looked at."""
    report = Report.read(row.files)
    if not report.found:
        return []
    too_much = memory.too_much(report, row.load_options, settings.GANTRY_VRAM_GB)
    return [*report.problems, *([too_much] if too_much else [])]


def in_short(row: TabbyModel) -> list[str]:
    """Return size and format, such as “4.3 GB” and “exl3 4 bpw”; those that are not known are left out."""
    report = Report.read(row.files)
    return [each for each in (gigabytes(report.size) if report.size else "", report.format) if each]


def warning(row: TabbyModel) -> SafeString:
    """Return a mark where the files show that the model cannot be loaded; else nothing."""
    if not (found := problems(row)):
        return SafeString("")
    return format_html('<span class="gantry-hint" title="{}">cannot be loaded</span>', sentence(found[0]))


def sentence(problem: Problem) -> str:
    """Return a problem and what to do, as sentences; a file's name keeps its small letter."""
    what = problem.what
    begin = what[:1].upper() if what.startswith(("it ", "its ", "the ")) else what[:1]
    return f"{begin}{what[1:]}. {problem.todo}"


def in_full(row: TabbyModel) -> SafeString | str:
    """Return all that is known of the files: size, format, memory, what is wrong, and the tabby_config.yml."""
    report = Report.read(row.files)
    if row.files_at is None:
        return (
            "They have not been looked at yet."
            if settings.MODELS_DIR
            else "With MODELS_DIR set, they are looked at."
        )
    lines = [" · ".join(in_short(row)), *_memory(report, row)]
    parts = [format_html_join("", "<p>{}</p>", ((each,) for each in filter(None, [*lines, *report.notes])))]
    if found := problems(row):
        cells = ((sentence(each),) for each in found)
        parts.append(
            format_html("<ul class='gantry-trouble'>{}</ul>", format_html_join("", "<li>{}</li>", cells))
        )
    if report.config:
        summary = "Its tabby_config.yml, which wins over all load options"
        parts.append(
            format_html(
                "<details open><summary>{}</summary><pre class='gantry-file'>{}</pre></details>",
                summary,
                report.config,
            )
        )
    parts.append(format_html("<p class='gantry-quiet'>Looked at {}</p>", moment(row.files_at)))
    return format_html(
        "<div class='gantry-files'>{}</div>", format_html_join("", "{}", ((each,) for each in parts))
    )


def _memory(report: Report, row: TabbyModel) -> list[str]:
    """Return what is needed of the GPUs' memory, in sentences."""
    if not report.weights:
        return []
    size, tokens = memory.needed(report, row.load_options)
    cache = f" and a cache for {tokens:,} tokens" if tokens else ""
    words = [f"GPU memory for the weights{cache}: {gigabytes(size)} at least."]
    if report.context:
        own = f"Made for a context of {report.context:,} tokens"
        full = (
            f"; a cache for all of it takes {gigabytes(report.context * report.per_token)}"
            if report.per_token
            else ""
        )
        words.append(f"{own}{full}.")
    return words
