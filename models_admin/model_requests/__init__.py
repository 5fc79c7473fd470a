"""Requests of users for a model, and how they end."""

OFFERS: tuple[str, ...] = ()  # to other applications
