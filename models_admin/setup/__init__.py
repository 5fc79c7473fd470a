"""What administrators have set up, as one JSON document: models, aliases, rules, checks, groups. No secrets, nobody's data.

`document` says what it may hold and reads it, `exporting` writes it, and `importing` brings it in, whole or not at all.
`retirement` retires models, which is part of it.
"""

# The modules that other applications may import.
OFFERS: tuple[str, ...] = ()
