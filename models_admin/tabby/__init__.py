"""The only code that talks to TabbyAPI.

`client` (blocking, for the worker) and `aclient` (for the event loop) are the doors; `errors` is what they
raise, `wire` what they return, `sse` how a stream is cut into events.
"""

OFFERS = ("aclient", "errors", "wire")  # to other applications
