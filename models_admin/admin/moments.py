"""Times as the admin pages show them."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString


def moment(when: datetime) -> SafeString:
    """Return a time as a <time> element, which the page's script puts into the reader's own time zone."""
    local = timezone.localtime(when)
    return format_html('<time datetime="{}">{}</time>', local.isoformat(), date_format(local, "j M Y, H:i"))
