"""What replies take: measured while they are generated, written where they end, read by day.

`meter` measures a reply, `recording` writes it, in one statement of the transaction that ends it, together with the sums of
its day, and `reading` reads those, `by_model` with distributions.
"""

# The modules that other applications may import.
OFFERS = ("meter", "reading", "recording")
