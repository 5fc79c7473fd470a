"""What can go wrong with TabbyAPI, as exceptions that say what to do.

TabbyError
├── Unreachable       unreachable       no connection, or it broke before an answer
├── TimedOut          timed_out         no answer in time
├── KeyRefused        key_refused       401, 403: the key is missing, wrong, or may not do this
├── Busy              busy              503, 429: it cannot do this now
├── NotLoaded         not_loaded        no model is loaded
├── Rejected          rejected          400, 422: the request itself is not accepted
│   ├── ModelMissing      model_missing     no such directory in its model folder
│   ├── FilesRefused      files_refused     Gantry sees in its files that it cannot be loaded
│   ├── ContextOverflow   context_overflow  the prompt is longer than the model's context
│   └── NoTemplate        no_template       the loaded model has no chat template
├── LoadFailed        load_failed       a load ended in an error
│   ├── OutOfMemory       out_of_memory     the model does not fit the GPU's memory
│   ├── FilesBroken       files_broken      the model's files are damaged or incomplete
│   └── NothingThere      nothing_there     no error, and yet no model is loaded
├── ChangedOutside    changed_outside   somebody else changed what is loaded meanwhile
├── CheckFailed       check_failed      it answers, but not well enough to serve (checks/running.py)
├── ServerFault       server_fault      5xx: TabbyAPI itself failed
├── Garbled           garbled           not TabbyAPI's protocol: HTML, no JSON, a wrong shape
├── InternalError     internal          Gantry itself failed while it dealt with TabbyAPI
└── (a reply that ended badly)
    ├── StreamError   stream_error      an error event
    │   └── NotBegun  not_begun         an error event before any of the reply
    ├── StreamCut     stream_cut        the connection was lost, or the stream ended too early
    ├── Stalled       stalled           nothing but pings for too long
    └── ToolsAsked    tools_asked       a call of a tool is all that the model has written
"""

from __future__ import annotations

from typing import ClassVar

from models_admin.visible import visible

MAX_WORDS = 2000
_ENDS = (".", "!", "?", "…")


def clean_words(text: str) -> str:
    """Return at most MAX_WORDS characters of TabbyAPI's words, with visible control characters."""
    return visible(text[: 2 * MAX_WORDS]).strip()[:MAX_WORDS]


def sentence(text: str) -> str:
    """Return `text` with a full stop at its end, unless it ends like a sentence already; '' stays ''."""
    text = text.strip()
    last = text.rstrip("\"'”’)]»")[-1:]
    return text if not text or last in _ENDS else f"{text.removesuffix(':')}."


class TabbyError(Exception):
    """A call of TabbyAPI failed.

    `what` says what happened to what, as a clause without a full stop; `words` are TabbyAPI's own. `kind` is
    a stable code, `advice` a sentence for a person, and `retry` whether the same call may succeed later with
    nothing changed.
    """

    kind: ClassVar[str] = "tabby_error"
    retry: ClassVar[bool] = False
    default_advice: ClassVar[str] = "Look into TabbyAPI's log."

    def __init__(self, what: str, words: str = "", *, advice: str = "") -> None:
        self.what = what
        self.words = clean_words(words)
        self.advice = advice or self.default_advice
        super().__init__(what, self.words)

    def __str__(self) -> str:
        return sentence(f"{self.what}: {self.words}" if self.words else self.what)


class Unreachable(TabbyError):
    """No connection, or it broke before an answer came; `refused`: nothing listens there, so TabbyAPI does not run."""

    refused = False

    kind = "unreachable"
    retry = True
    default_advice = "Check that TabbyAPI runs and that TABBY_HOST is its address."


class TimedOut(TabbyError):
    """No answer in time."""

    kind = "timed_out"
    retry = True
    default_advice = (
        "TabbyAPI is slow or hangs: look into its log, restart it if it stays so; raise SWITCH_TIMEOUT "
        "for large models."
    )


class KeyRefused(TabbyError):
    """The key is missing, wrong, or not the admin key."""

    kind = "key_refused"
    default_advice = (
        "Set TABBY_ADMIN_KEY (and TABBY_API_KEY, if used) to the keys in TabbyAPI's api_tokens.yml; "
        "switching models needs the admin key."
    )


class Busy(TabbyError):
    """It cannot do this at present, for instance while it loads a model."""

    kind = "busy"
    retry = True
    default_advice = "Wait until TabbyAPI has finished what it is doing, then try again."


class NotLoaded(TabbyError):
    """No model is loaded; this is also the answer all through a load."""

    kind = "not_loaded"
    retry = True
    default_advice = "Load a model, or wait for the running load to end."


class Rejected(TabbyError):
    """The request itself was not accepted; sending it again will not help."""

    kind = "rejected"
    default_advice = "Correct what TabbyAPI's words name, such as a load option, and try again."


class ModelMissing(Rejected):
    """TabbyAPI has no directory of that name in its model folder."""

    kind = "model_missing"
    default_advice = (
        "Check that the model's directory is in TabbyAPI's model folder under exactly this name, then "
        "refresh the list. If TabbyAPI goes on listing it, it is a name that TabbyAPI only pretends to have "
        "(use_dummy_models in its config.yml): choose another."
    )


class FilesRefused(Rejected):
    """The model's files show that TabbyAPI cannot load it, so it was not asked to."""

    kind = "files_refused"
    default_advice = "Mend its files, or choose another model."


class ContextOverflow(Rejected):
    """The conversation is longer than the model's context."""

    kind = "context_overflow"
    default_advice = (
        "Start a new conversation, or shorten the message; a model with a longer context would also do."
    )


class NoTemplate(Rejected):
    """The loaded model has no chat template, or one that refuses this conversation."""

    kind = "no_template"
    default_advice = (
        "An administrator can load the model with the option prompt_template set to one of TabbyAPI's templates, or "
        "put a chat_template.jinja into its folder."
    )


class LoadFailed(TabbyError):
    """A load ended in an error. The model that was loaded before is gone from the GPU by then."""

    kind = "load_failed"
    default_advice = (
        "Usual causes: too little GPU memory, damaged files (download the model again), or TabbyAPI crashed "
        "(restart it). Look into TabbyAPI's log; see whether the model's directory is there, and whether "
        "loading it there by hand works."
    )


class OutOfMemory(LoadFailed):
    """The model does not fit the GPU's memory."""

    kind = "out_of_memory"
    default_advice = (
        "The model is too big, or the previous one is not fully gone: unload, wait some 10 seconds, and "
        "load a smaller model "
        "or quantization, or one with a smaller cache. Restart TabbyAPI if it persists."
    )


class FilesBroken(LoadFailed):
    """The model's files are damaged, incomplete, or no model at all."""

    kind = "files_broken"
    default_advice = "The model's files are damaged or incomplete: download the model again."


class NothingThere(LoadFailed):
    """A load that ended without an error, after which no model is loaded."""

    kind = "nothing_there"
    default_advice = (
        "Look into TabbyAPI's log: it may have crashed, or somebody else may have unloaded the model."
    )


class ChangedOutside(TabbyError):
    """Somebody else loaded another model, or kept one from being unloaded, while Gantry changed it."""

    kind = "changed_outside"
    default_advice = (
        "Somebody else uses this TabbyAPI, or it switches models by itself (inline loading). "
        "Look at what is loaded now, and switch again if needed."
    )


class ServerFault(TabbyError):
    """TabbyAPI itself failed (5xx)."""

    kind = "server_fault"
    retry = True
    default_advice = "Look into TabbyAPI's log, and restart it if this goes on."


class Garbled(TabbyError):
    """The answer is not in TabbyAPI's protocol."""

    kind = "garbled"
    retry = True
    default_advice = "Check that TABBY_HOST is TabbyAPI's own address, and not a proxy or another server."


class InternalError(TabbyError):
    """An error of Gantry's own. It ends a switch like the others, so that the model that worked is loaded again."""

    kind = "internal"
    default_advice = "This is a mistake in Gantry: the worker's log has more. Switching again may work."


class StreamError(TabbyError):
    """TabbyAPI sent an error in the middle of a reply."""

    kind = "stream_error"
    retry = True
    default_advice = "Try again; look into TabbyAPI's log if it persists."


class NotBegun(StreamError):
    """TabbyAPI sent an error instead of a reply.

    So it refuses a stream while a model comes or goes, where it says 503 to a plain call.
    """

    kind = "not_begun"


class StreamCut(TabbyError):
    """The connection was lost in mid-stream, or the stream ended without its end mark."""

    kind = "stream_cut"
    retry = True
    default_advice = "Try again; if it persists, check the network and whether TabbyAPI crashed."


class Stalled(TabbyError):
    """The stream stayed open without any data but pings."""

    kind = "stalled"
    retry = True
    default_advice = "Try again; a reply that hangs after an unload or a crash never goes on by itself."


class ToolsAsked(TabbyError):
    """The model has written nothing but calls of tools. TabbyAPI looks for those even where no tools were offered."""

    kind = "tools_asked"
    default_advice = (
        "Ask in other words, or ask for an answer without tools; an administrator can leave tool_format out of "
        "TabbyAPI's configuration."
    )
