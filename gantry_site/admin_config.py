"""Puts admin_site.Site in the place of Django's admin site. It stands apart: Django reads it before there are models."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class SiteConfig(AdminConfig):
    """django.contrib.admin with a site of our own."""

    default_site = "gantry_site.admin_site.Site"
