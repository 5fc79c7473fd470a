"""A switch from the request to its end, and the gate that replies pass on their way to the model.

`transitions` is the only code that moves a switch, `runner` does the work between two states, `loader` loads one model,
`heartbeat` keeps the claim and the limits. `gate` admits replies; `demand` is how others say whom a switch would hold up.
"""

# The modules that other applications may import.
OFFERS = (
    "demand",
    "gate",
)
