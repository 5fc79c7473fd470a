"""The sandbox's TOML file: its models, how they behave, and its keys."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .flaws import FLAWS

DEMO = Path(__file__).with_name("demo.toml")


class ConfigError(ValueError):
    """The configuration cannot be used; the message names the table and the key."""


@dataclass(frozen=True)
class ModelSpec:
    """One pretend model. `*_at` counts modules over all phases of a load."""

    name: str
    modules: int = 33
    seconds_per_module: float = 0.15
    size_gb: float = 8.0
    max_seq_len: int = 8192
    vision: bool = False
    vision_modules: int = 4
    draft: bool = False
    draft_modules: int = 6
    reasoning: bool = False
    # The template ends the prompt of a new reply with `<think>`: a continued answer is then taken for thoughts.
    opens_think: bool = False
    tool_format: bool = False
    tokens_per_second: float = 40.0
    prefill_seconds: float = 0.0
    # Tokens a second of the answers to plain questions, which checks ask; 0: at once.
    plain_rate: float = 0.0
    # What is wrong with all that it says, one of FLAWS.
    flaw: str | None = None
    corrupted: bool = False
    oom_at: int | None = None
    hang_at: int | None = None
    reply: str | None = None
    unload_seconds: float = 0.0
    # The model's own tabby_config.yml: it wins over the options of a load.
    overrides: dict[str, Any] = field(default_factory=dict)
    # The chat template of its own; '' is none: chats are refused.
    prompt_template: str = "from_tokenizer_config"
    # The directory is a link to that of another model, which is then what is loaded.
    link: str | None = None

    def phases(self, *, vision: bool, draft: bool) -> list[tuple[str, int]]:
        """Return the phases of a load in TabbyAPI's order, as (model_type, modules)."""
        phases = []
        if vision:
            phases.append(("vision", self.vision_modules))
        if draft:
            phases.append(("draft", self.draft_modules))
        return [*phases, ("model", self.modules)]


@dataclass(frozen=True)
class ServerOptions:
    """`[server]`: how the server as a whole behaves. `order` is "list" or "random"."""

    ping_seconds: float = 15.0
    order: str = "random"
    inline_loading: bool = False
    continue_final_message: bool = True
    dummy_models: tuple[str, ...] = ()
    templates: tuple[str, ...] = ("alpaca", "chatml")
    # The directories of a draft model folder of its own; none: it is the model folder.
    draft_models: tuple[str, ...] = ()
    disable_request_streaming: bool = False
    initial_model: str | None = None
    # The model of the embeddings container, which runs beside the other; none: it is not loaded.
    embedding_model: str | None = None


@dataclass(frozen=True)
class Auth:
    """`[auth]`: the two keys. With `disable_auth`, everybody is an administrator."""

    admin_key: str = ""
    api_key: str = ""
    disable_auth: bool = True


@dataclass(frozen=True)
class Config:
    """The whole configuration."""

    models: tuple[ModelSpec, ...]
    server: ServerOptions
    auth: Auth


def parse_model(table: Mapping[str, Any]) -> ModelSpec:
    """A `[[model]]` table (or the same as JSON) → ModelSpec; raises ConfigError."""
    name = table.get("name")
    if not isinstance(name, str) or not name or "/" in name:
        raise ConfigError("[[model]] needs a name: the name of a directory, without a slash.")
    _check(f'[[model]] "{name}"', table, ModelSpec)
    spec = ModelSpec(**table)
    if spec.flaw is not None and spec.flaw not in FLAWS:
        raise ConfigError(f'[[model]] "{name}": flaw is one of {", ".join(FLAWS)}.')
    if min(spec.modules, spec.vision_modules, spec.draft_modules) < 1:
        raise ConfigError(f'[[model]] "{name}": a phase has at least 1 module.')
    return spec


def parse(document: Mapping[str, Any], environ: Mapping[str, str]) -> Config:
    """A whole TOML document → Config. SANDBOX_ADMIN_KEY and SANDBOX_API_KEY in `environ` win over [auth]."""
    unknown = set(document) - {"model", "server", "auth"}
    if unknown:
        raise ConfigError(f"Unknown table [{sorted(unknown)[0]}]: use [[model]], [server] and [auth].")
    models = tuple(parse_model(table) for table in document.get("model", []))
    server_table = dict(document.get("server", {}))
    _check("[server]", server_table, ServerOptions)
    for name in ("dummy_models", "templates", "draft_models"):
        if name in server_table:
            server_table[name] = tuple(server_table[name])
    server = ServerOptions(**server_table)
    if server.order not in {"list", "random"}:
        raise ConfigError('[server] order is "list" or "random".')
    if server.initial_model and server.initial_model not in {model.name for model in models}:
        raise ConfigError(f'[server] initial_model "{server.initial_model}" is no [[model]].')
    return Config(models, server, _auth(dict(document.get("auth", {})), environ))


def load(path: Path | None) -> Config:
    """Read `path`, or the packaged demo; raises ConfigError with a message for the operator."""
    path = path or DEMO
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read {path}: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}.") from error
    return parse(document, os.environ)


def _auth(table: dict[str, Any], environ: Mapping[str, str]) -> Auth:
    for key, variable in (("admin_key", "SANDBOX_ADMIN_KEY"), ("api_key", "SANDBOX_API_KEY")):
        if environ.get(variable):
            table[key] = environ[variable]
    # Where keys are given they are required; without any, the demo just works.
    table.setdefault("disable_auth", not (table.get("admin_key") or table.get("api_key")))
    _check("[auth]", table, Auth)
    return Auth(**table)


def _check(where: str, table: Mapping[str, Any], kind: type[ModelSpec | ServerOptions | Auth]) -> None:
    annotations = {item.name: str(item.type) for item in fields(kind)}
    for key, value in table.items():
        if key not in annotations:
            raise ConfigError(f"{where}: unknown key {key}. Known: {', '.join(annotations)}.")
        if value is not None and not _fits(value, annotations[key]):
            raise ConfigError(f"{where}: {key} must be {annotations[key]}, not {value!r}.")


def _fits(value: Any, annotation: str) -> bool:
    match annotation.removesuffix(" | None"):
        case "str":
            return isinstance(value, str)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "float":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "tuple[str, ...]":
            return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
        case kind:
            return isinstance(value, bool if kind == "bool" else dict)
