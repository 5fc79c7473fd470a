"""The server that a test speaks of where it is about no other."""

from __future__ import annotations

from models_admin.servers import known

SERVER = known.default()
