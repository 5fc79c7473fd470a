"""What is true of a TabbyAPI server: which model it runs, which it has, and how a model may be loaded.

`addresses` reads what the settings say of them, `known` says which servers there are, `connections` how one is reached.
What concerns one server takes its id as the first argument. This room writes down what TabbyAPI says; nothing here asks
for a change.
"""

# The modules that other applications may import.
OFFERS = (
    "clients",
    "connections",
    "diagnosis",
    "finding",
    "known",
    "machine",
)
