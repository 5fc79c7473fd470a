"""Aliases: names that administrators give to models, with sampling defaults and a system prompt.

`changes` is the only code that writes them, `sampling` says which defaults there are, and `book` has what a process knows of
them, so that no call and no reply costs a query.
"""

# The modules that other applications may import.
OFFERS = ("book", "sampling")
