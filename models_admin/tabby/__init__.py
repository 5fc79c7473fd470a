"""The only code that talks to TabbyAPI.

`client` (blocking, for the worker) and `aclient` (for the event loop) are the clients; `errors` has what they raise, `wire`
what they return, and `sse` cuts a stream into events.
"""

# The modules that other applications may import.
OFFERS = ("aclient", "errors", "passage", "wire")
