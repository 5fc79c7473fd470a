"""What a model's files say before anybody loads it: whether TabbyAPI can, in which format they are, and how much they need.

`folder` reads a folder below MODELS_DIR, and never more of it than a bound; `safetensors` reads the headers of weights;
`weights`, `formats` and `settings_files` judge what was read, `memory` estimates. `examining` makes a report of all that,
`looks` has one made within a time limit, and keeps it with the model. Nothing here writes to MODELS_DIR, and nothing that is
said here is certain: what cannot be read is not judged.
"""

# The modules that other applications may import.
OFFERS = ()
