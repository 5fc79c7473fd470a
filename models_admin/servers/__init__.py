"""What is true of a TabbyAPI server: which model it runs, which it has, and how a model may be loaded.

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
