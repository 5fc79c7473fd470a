"""The HTTP API: who may ask what, and how it is answered.

`app` puts the groups of routes together, `base` answers in the documented shapes, `auth` and `tokens` say who asks.
"""

# The modules that other applications may import.
OFFERS = (
    "app",
    "auth",
    "base",
    "description",
    "new_tokens",
    "origins",
    "proxy_faults",
    "request_routes",
    "schemas",
    "tokens",
)
