"""Switches that nobody asks for at the moment: rules, and keeping the model that was chosen.

`upkeep` is the one place that acts on what was observed.
"""

# The modules that other applications may import.
OFFERS = ("upkeep",)
