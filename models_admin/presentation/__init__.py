"""A switch and a server in words and numbers, once for all pages, the API, sockets and commands.

`snapshots` has the whole state of a server, `team_snapshots` that of all of them, which sockets are sent, `switch_text` the
words, `estimates` the times. `model_reports` has what can be reported of a model.
"""

# The modules that other applications may import.
OFFERS = (
    "banner",
    "model_reports",
    "snapshots",
    "switch_text",
    "team_snapshots",
)
