"""Adding a model: TabbyAPI downloads a repository of its hub into its model folder, and a worker holds the request.

`transitions` is the only code that moves a download, `runner` carries it out in a worker, `handover` brings a token from who
asked to the worker, `progress` measures, `failures` has the words for what goes wrong, `words` those for how far it is.
"""

# The modules that other applications may import.
OFFERS = ()
