"""The OpenAI-compatible API under /v1: whatever speaks to OpenAI's API speaks through Gantry to the model that is loaded.

A call goes from one module to the next:

    application   one HTTP request: its id, its token, its endpoint, and its answer, whatever goes wrong
    asked         the body: what TabbyAPI would misread is made right, the rest is passed on as it is
    aliases       the model that an alias stands for, and the defaults that it brings
    dispatch      the calls of this process: into the line, out of it, their heartbeat; claims does it in the database
    relay         TabbyAPI's answer to the caller, through switches; chunks gives it OpenAI's shape
    answer        what is sent: in order, no faster than it is taken, with signs of life while there is nothing to send

    waiting ─▶ running ─▶ ended: done | refused | failed | gone | died
       ▲          │
       └──────────┘  cut by a switch, or worth another try

A call lives as long as its caller's connection, in the process that has it. Its row gives it a place in the line that it
shares with the chat's replies; a lease keeps switches away while it runs. A process that dies takes its callers' connections
along: its rows leave the line when its heartbeat is old.

What a switch cuts goes on as honestly as can be. Where the caller has been sent nothing, it begins again, unseen. Where text
was sent, the next model goes on from it. Where that would be a lie (tools, formats, log probabilities, several choices), the
answer ends with an error that says so.
"""
