"""What pages are told while they are open: one subscription for each process, and sockets that never wait.

`hub` knows the sockets and the picture, `consumers` speaks with one page, `outgoing` sends within bounds.
"""

# The modules that other applications may import.
OFFERS = (
    "allowance",
    "consumers",
    "hub",
    "outgoing",
)
