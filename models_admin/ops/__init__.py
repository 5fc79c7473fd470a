"""What operators are told and do: diagnostics, metrics, checks, and the frame of the commands."""

# The modules that other applications may import.
OFFERS = (
    "command",
    "diagnostics",
    "foundations",
    "metrics",
)
