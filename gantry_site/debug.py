"""What a page with a traceback (DEBUG=true) hides: besides Django's own choice, addresses, which may carry a password."""

from __future__ import annotations

import re

from django.views.debug import SafeExceptionReporterFilter


class Filter(SafeExceptionReporterFilter):
    """Django's filter, with more settings hidden."""

    hidden_settings = re.compile(
        SafeExceptionReporterFilter.hidden_settings.pattern + "|URL|CHANNEL_LAYERS|TABBY_HOST",
        flags=re.IGNORECASE,
    )
