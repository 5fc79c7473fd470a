#!/usr/bin/env python
"""Gantry's command line: `python manage.py help` lists the commands."""

from __future__ import annotations

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gantry_site.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415 (after the setting above)

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
