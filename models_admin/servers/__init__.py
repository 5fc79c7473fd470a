"""What is true of a TabbyAPI server: which model it runs, which it has, and how a model may be loaded.

`known` says which servers there are, `connections` how one is reached. Whatever is said of a server takes its id first.

What looks at the server writes down what it saw (`observation` in `switching` compares it with what was done);
nothing here asks for a change.
"""

# The modules that other applications may import.
OFFERS = (
    "connections",
    "diagnosis",
    "finding",
    "known",
    "machine",
)
