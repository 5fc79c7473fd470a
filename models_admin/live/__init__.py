"""The events that open pages are sent: one subscription for each process, and sockets that never wait.

`hub` has the sockets and the newest snapshot, `consumers` serves one page, `outgoing` sends within bounds.
"""

# The modules that other applications may import.
OFFERS = (
    "allowance",
    "consumers",
    "hub",
    "outgoing",
)
