"""Switches that no person asks for: automation rules, and the model that is to be kept loaded.

`upkeep` is the one place that acts on what was observed; `stalls` finds servers that have stalled while they write.
"""

# The modules that other applications may import.
OFFERS = (
    "lookers",
    "stalls",
    "upkeep",
)
