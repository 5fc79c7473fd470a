"""For operators: diagnostics, metrics, checks, what management commands share, and the worker's own threads."""

# The modules that other applications may import.
OFFERS = (
    "command",
    "diagnostics",
    "foundations",
    "metrics",
)
