"""A switch and a server in words and numbers, once for all pages, the API, sockets and commands.

`snapshots` is the whole picture that sockets are sent; `switch_text` has the words, `estimates` the times.
"""

# The modules that other applications may import.
OFFERS = (
    "banner",
    "snapshots",
    "switch_text",
)
