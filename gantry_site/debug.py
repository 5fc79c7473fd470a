"""What a page with a traceback (DEBUG=true) hides.

Besides the settings that Django hides, it hides addresses, which may carry a password. It hides the keys themselves
wherever they stand, because such a page shows the variables of every function in the traceback, such as the headers of a
request to TabbyAPI.
"""

from __future__ import annotations

import re
from html import escape

from django.utils.safestring import SafeString, mark_safe
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from gantry_site.logs import HIDDEN, redacted, secrets


class Filter(SafeExceptionReporterFilter):
    """Django's filter, with more settings hidden."""

    hidden_settings = re.compile(
        SafeExceptionReporterFilter.hidden_settings.pattern + "|URL|TABBY_HOST",
        flags=re.IGNORECASE,
    )


class Reporter(ExceptionReporter):
    """Django's page and text, without the keys and passwords of the settings."""

    def get_traceback_html(self) -> SafeString:
        page = str(super().get_traceback_html())
        for word in secrets():
            page = page.replace(escape(word), HIDDEN)
        return mark_safe(redacted(page))  # noqa: S308 (Django made it safe; here only text is replaced)

    def get_traceback_text(self) -> SafeString:
        return mark_safe(redacted(super().get_traceback_text()))  # noqa: S308
