"""The pretend server's engine: one model at a time, one load after the other, generations that a load waits for."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from .config import Config, ModelSpec
from .faults import CORRUPTED, OOM, Fault, FaultQueue
from .parameters import Parameters, draft_of, has_vision, parameters_of
from .work import Busy, Generation, Load, LoadFailed, Phase

LOAD_FAULTS = {"error", "error_event", "oom", "corrupted", "finished_then_error"}


class Engine:
    """The state that a real server would have: its models, what is loaded, loads and generations."""

    def __init__(self, config: Config, faults: FaultQueue) -> None:
        self._config = config
        self._faults = faults
        self._tasks: set[asyncio.Task[None]] = set()
        self.models: dict[str, ModelSpec] = {}
        self._restore()

    def _restore(self) -> None:
        self.models = {model.name: model for model in self._config.models}
        initial = self._config.server.initial_model
        self.streams = not self._config.server.disable_request_streaming
        self._set_loaded(self.models[initial] if initial else None, {})
        self.phase = Phase.IDLE
        self.loading: str | None = None
        self.queued = 0
        self.token_rate: float | None = None
        self.at_once: int | None = None
        self._freed = asyncio.Event()
        self.issues: list[str] = []
        self.generations: set[Generation] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._lock = asyncio.Lock()

    def _set_loaded(self, model: ModelSpec | None, options: dict[str, Any]) -> None:
        self.loaded = model
        self.begun = 0  # generations since the load
        self.options = options if model else {}
        templates = self._config.server.templates
        self.parameters: Parameters | None = parameters_of(model, options, templates) if model else None

    def set_template(self, name: str) -> None:
        """Give the loaded model another template; '' is none."""
        if self.parameters is not None:
            self.parameters = replace(self.parameters, prompt_template=name)

    def reset(self) -> None:
        """Go back to the configuration, as a new process would begin."""
        self.stop()
        self._restore()

    def stop(self) -> None:
        """End all work in progress; a running load leaves nothing loaded."""
        for task in list(self._tasks):
            task.cancel()

    # -- the catalog ---------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Return the names of all models, in the configured order."""
        names = list(self.models)
        if self._config.server.order == "random":
            random.shuffle(names)
        return names

    def find(self, name: str) -> ModelSpec | None:
        """Return the model at the path `name` below the model folder, which a load would reach; None if there is none.

        A path that leaves the folder is taken to exist: TabbyAPI does not keep names inside it.
        """
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            return self.models.get(path.name) or ModelSpec(path.name or "/")
        return self.models.get(str(path))

    def drafts(self) -> list[str]:
        """Return the names of the draft models that a load can find."""
        return list(self._config.server.draft_models or self.models)

    # -- generations ---------------------------------------------------------------------------------------

    def begin(self) -> Generation:
        """Admit a generation by the loaded model. Raises Busy while a load or an unload has begun."""
        if self.loaded is None or self.phase is not Phase.IDLE:
            raise Busy(503)
        if self.loaded.flaw == "dies" and self.begun:
            raise Busy(503)
        self.begun += 1
        generation = Generation(self.loaded, asyncio.get_running_loop().create_future())
        self.generations.add(generation)
        self._idle.clear()
        return generation

    async def wait_for_turn(self, generation: Generation) -> None:
        """Wait while `at_once` others run; the stream is open, and only pings come. Return at once when it is aborted."""
        while self.at_once is not None and sum(each.running for each in self.generations) >= self.at_once:
            freed = asyncio.ensure_future(self._freed.wait())
            try:
                await asyncio.wait((freed, generation.aborted), return_when=asyncio.FIRST_COMPLETED)
            finally:
                freed.cancel()
            if generation.aborted.done():
                return
        generation.running = True

    def finish(self, generation: Generation) -> None:
        """Take a generation out; the next one that waits may run."""
        self.generations.discard(generation)
        self._freed.set()
        self._freed = asyncio.Event()
        if not self.generations:
            self._idle.set()

    def abort_generations(self) -> None:
        """Abort and take out all generations."""
        for generation in list(self.generations):
            if not generation.aborted.done():
                generation.aborted.set_result(None)
            self.finish(generation)

    # -- load and unload -----------------------------------------------------------------------------------

    def start_load(self, model: ModelSpec, options: dict[str, Any], fault: Fault | None = None) -> Load:
        """Begin a load, which only the end of the process can stop; return it at once."""
        load = Load(model, options, fault)
        self._spawn(self._run_load(load))
        return load

    async def unload(self) -> None:
        """Unload the model, and abort the generations that use it.

        Raises Busy: 503 with nothing loaded or during a load, 500 while a load waits for generations.
        """
        if self.phase is Phase.WAITING:
            raise Busy(500)
        if self.loading is not None or self.loaded is None:
            raise Busy(503)
        task = self._spawn(self._run_unload())
        await asyncio.shield(task)

    def replace_loaded(self, model: ModelSpec | None, options: dict[str, Any] | None = None) -> None:
        """Change what is loaded, as if somebody else did: running work ends, generations hang as after an unload."""
        self.stop()
        self.abort_generations()
        self._set_loaded(model, options or {})
        self.phase, self.loading, self.queued = Phase.IDLE, None, 0
        self._lock = asyncio.Lock()

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run_unload(self) -> None:
        async with self._lock:
            self.abort_generations()
            await self._unload_now()
            self.phase = Phase.IDLE

    async def _unload_now(self) -> None:
        self.phase = Phase.UNLOADING
        if self.loaded is not None:
            await asyncio.sleep(self.loaded.unload_seconds)
        self._set_loaded(None, {})

    async def _run_load(self, load: Load) -> None:
        lock = self._lock
        self.queued += 1
        try:
            async with lock:
                self.queued -= 1
                await self._load_in_turn(load)
        except LoadFailed as error:
            load.failed = True
            load.emit({"error": {"message": str(error), "trace": None}})
        finally:
            load.events.put_nowait(None)

    async def _load_in_turn(self, load: Load) -> None:
        lock = self._lock
        model = self.models.get(load.model.link, load.model) if load.model.link else load.model
        if self.loaded is not None and self.loaded.name == model.name:
            load.emit(_progress("model", 1, 1, "finished"))
            return
        self.loading = load.model.name
        try:
            if self.loaded is not None:
                if load.options.get("skip_queue"):
                    self.abort_generations()
                self.phase = Phase.WAITING
                await self._idle.wait()
                await self._unload_now()
            self.phase = Phase.LOADING
            async for data in self._modules(load):
                load.emit(data)
            if load.fault and load.fault.kind == "finished_then_error":
                raise LoadFailed(load.fault.words())
            self._set_loaded(model, load.options)
        finally:
            # A reset made a new lock, and its state is not this load's to touch.
            if lock is self._lock:
                self.phase, self.loading = Phase.IDLE, None

    async def _modules(self, load: Load) -> AsyncIterator[dict[str, Any]]:
        done = 0
        draft = draft_of(load.model, load.options)
        if draft and draft not in self.drafts():  # TabbyAPI looks for it only now, with the old model gone
            raise LoadFailed(f"[Errno 2] No such file or directory: 'models/{draft}/config.json'")
        phases = load.model.phases(vision=has_vision(load.model, load.options), draft=draft is not None)
        last = sum(modules for _, modules in phases) - 1
        for kind, modules in phases:
            for module in range(1, modules + 1):
                await self._apply_fault(load, done, last)
                await asyncio.sleep(self._module_seconds(load))
                yield _progress(kind, module, modules, "processing")
                done += 1
            yield _progress(kind, modules, modules, "finished")

    async def _apply_fault(self, load: Load, done: int, last: int) -> None:
        """Fail or hang after `done` modules, if the model or the fault says so; after `last` where they say more."""
        fault, model = load.fault, load.model
        if fault and min(fault.at, last) == done:
            if fault.kind == "hang":
                await self._faults.hold(fault.seconds)
            elif fault.kind in LOAD_FAULTS - {"finished_then_error"}:
                raise LoadFailed(fault.words())
        if model.hang_at is not None and min(model.hang_at, last) == done:
            await self._faults.hold()
        if model.oom_at is not None and min(model.oom_at, last) == done:
            raise LoadFailed(OOM)
        if model.corrupted and done == min(2, last):
            raise LoadFailed(CORRUPTED)

    def _module_seconds(self, load: Load) -> float:
        if load.fault and load.fault.kind == "slow" and load.fault.seconds is not None:
            return load.fault.seconds
        # Read from the catalog each time, so that a test can speed up a running load.
        return self.models.get(load.model.name, load.model).seconds_per_module

    def set_module_seconds(self, seconds: dict[str, float]) -> None:
        """Set the seconds per module of models, by their names."""
        for name, value in seconds.items():
            self.models[name] = replace(self.models[name], seconds_per_module=value)


def _progress(kind: str, module: int, modules: int, status: str) -> dict[str, Any]:
    return {"model_type": kind, "module": module, "modules": modules, "status": status}
