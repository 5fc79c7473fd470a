"""A switch from the request to its end, and the gate that replies pass on their way to the model.

`transitions` is the only code that moves a switch, `ownership` says which worker carries it out, `runner` does the
work between two states (`way_back` that of going back), `loader` loads one model, `heartbeat` keeps the claim and the
limits. `gate` decides whether replies may start, `admission` which come next, `placement` which server each gets,
`service` which are given any; `demand` says whom a switch would hold up.
"""

# The modules that other applications may import.
OFFERS = (
    "admission",
    "demand",
    "gate",
    "placement",
)
