"""Keeps children alive with Supervisor, in this process, and logs what happens to them.

Supervisor starts, restarts and stops; this module feeds it a configuration, has the log print what the children print,
and words its events. Nothing is hidden: each crash of a crash loop is reported.
"""

from __future__ import annotations

import ctypes
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from supervisor import events
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.options import ServerOptions, decode_wait_status
from supervisor.states import SupervisorStates
from supervisor.supervisord import Supervisor

from gantry_site.child_log import Log
from gantry_site.children import Child
from gantry_site.rolling_restart import RollingRestart

# A child that lives shorter counts as crashed at its start: the pause before the next attempt grows.
START_SECONDS = 5
LONGEST_PAUSE = 60.0
# How soon a signal or an exit is noticed, at the latest.
POLL_SECONDS = 0.2
SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG, from Linux's prctl.h


def supervise(
    listed: Sequence[Child], *, folder: Path, log: Log, each_turn: Callable[[], None] = lambda: None
) -> None:
    """Run the children until SIGINT, SIGTERM or SIGHUP, or until nobody reads the log; end them all, and return.

    SIGUSR1 restarts the web processes, one after the other.

    folder: gets the configuration and, while it runs, `children.json`: {name: pid}.
    each_turn: called a few times a second, from this thread.
    """
    path = folder / "supervisord.conf"
    path.write_text(configuration(listed))
    options = _Options({child.name: child.socket for child in listed if child.socket is not None})
    options.realize(["-c", str(path)])
    options.first, options.test = True, False
    restart = RollingRestart(listed, log)
    supervisor = _Supervisor(options, folder / "children.json", log, each_turn, restart)
    try:
        supervisor.main()
    except ExitNow:
        pass
    finally:
        options.close_logger()
        supervisor.pids_file.unlink(missing_ok=True)


def configuration(listed: Sequence[Child]) -> str:
    """Return Supervisor's configuration for these children."""
    lines = [
        "[supervisord]",
        "nodaemon=true",
        "silent=true",
        "umask=077",
        "logfile=/dev/null",  # Log says what there is to say, and no disk can be too full for it
        "logfile_maxbytes=0",
        "pidfile=%(here)s/supervisord.pid",  # "here" is where the configuration is
        "childlogdir=%(here)s",
    ]
    for child in listed:
        lines += [
            f"[program:{child.name}]",
            f"command={_command(child.argv)}",
            "autorestart=true",
            f"startsecs={START_SECONDS}",
            "startretries=1000000000",
            "stopasgroup=true",
            "killasgroup=true",
            f"stopwaitsecs={child.stop_seconds}",
            "redirect_stderr=true",
            "stdout_logfile=NONE",
            "stdout_events_enabled=true",
        ]
    for priority, group in enumerate(("services", "app"), start=1):
        names = [child.name for child in listed if child.group == group]
        if names:
            lines += [f"[group:{group}]", f"programs={','.join(names)}", f"priority={priority}"]
    return "\n".join(lines) + "\n"


def _command(argv: Sequence[str]) -> str:
    """Quote a command as the shell does, and for an ini file, where %, " ;" and " #" mean something."""
    return shlex.join(argv).replace("%", "%%").replace(" ;", " '';").replace(" #", " ''#")


class _Options(ServerOptions):  # type: ignore[misc]
    """Supervisor's options, through which it also makes its system calls; some of these are changed here.

    sockets: by the program's name, the listening socket that it is to be given.
    """

    def __init__(self, sockets: Mapping[str, int]) -> None:
        super().__init__()
        self.sockets = sockets
        self.statuses: dict[int, int] = {}
        self.prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
        poll = self.poller.poll
        self.poller.poll = lambda timeout: poll(min(timeout, POLL_SECONDS))

    def setpgrp(self) -> None:
        """In a child, before it runs its program: have it killed when this process is killed."""
        super().setpgrp()
        if self.prctl is not None:
            self.prctl(SET_DEATH_SIGNAL, int(signal.SIGKILL))

    def close_fd(self, fd: int) -> None:
        """In a child, before it runs its program: close `fd`, unless it is a listening socket (execve passes one on)."""
        if fd not in self.sockets.values():
            super().close_fd(fd)

    def execve(self, filename: str, argv: list[str], env: dict[str, str]) -> None:
        """In a child: run its program, with the listening socket that is meant for it."""
        number = self.sockets.get(env["SUPERVISOR_PROCESS_NAME"])
        if number is not None:
            os.set_inheritable(number, True)
        super().execve(filename, argv, env)

    def waitpid(self) -> tuple[int | None, int | None]:
        pid, status = super().waitpid()
        if pid:
            self.statuses[pid] = status
        return pid, status


class _Supervisor(Supervisor):  # type: ignore[misc]
    """Supervisor's loop, with a listener for its events."""

    def __init__(
        self,
        options: _Options,
        pids_file: Path,
        log: Log,
        each_turn: Callable[[], None],
        restart: RollingRestart,
    ) -> None:
        super().__init__(options)
        self.restart = restart
        self.pids_file = pids_file
        self.log = log
        self.each_turn = each_turn
        self.written_pids: dict[str, int] | None = None
        self.write_succeeded = True

    def runforever(self) -> None:
        # Supervisor forgets all listeners when it starts to run: this is the first moment after that.
        events.subscribe(events.ProcessLogEvent, self._print)
        events.subscribe(events.ProcessStateEvent, self._report)
        events.subscribe(events.SupervisorStoppingEvent, lambda event: self.log.say("stopping everything"))
        signal.signal(signal.SIGUSR1, lambda *_: self.restart.ask())
        super().runforever()

    def handle_signal(self) -> None:
        """Do what is due once a turn: signals, the end of the log's reader, the table of children, the rolling restart."""
        super().handle_signal()
        if self.log.reader_gone:
            self.options.mood = SupervisorStates.SHUTDOWN
        processes = [
            process for group in self.process_groups.values() for process in group.processes.values()
        ]
        pids = {process.config.name: process.pid for process in processes if process.pid}
        if pids != self.written_pids:
            self._write_pids(pids)
        if self.options.mood == SupervisorStates.RUNNING:
            self.restart.turn({process.config.name: process for process in processes})
        self.each_turn()

    def _write_pids(self, pids: dict[str, int]) -> None:
        """Write {name: pid} to `pids_file`; where that fails, as on a full disk, it is tried again at the next turn."""
        draft = self.pids_file.with_suffix(".draft")
        try:
            draft.write_text(json.dumps(pids))
            draft.replace(self.pids_file)
        except OSError as error:
            if self.write_succeeded:
                self.log.say(f"{self.pids_file} cannot be written ({error.strerror}): trying again")
            self.write_succeeded = False
        else:
            self.written_pids, self.write_succeeded = pids, True

    def _print(self, event: Any) -> None:
        self.log.feed(event.process.config.name, event.data)

    def _report(self, event: Any) -> None:
        process = event.process
        name = process.config.name
        match event:
            case events.ProcessStateStartingEvent() if not process.laststop:
                self.log.say(f"starting {name}")
            case events.ProcessStateExitedEvent():
                self.log.end(name)
                self.log.say(f"{name} ended ({self._ending(process)}): starting it again")
            case events.ProcessStateBackoffEvent():
                self.log.end(name)
                pause = min(process.backoff, LONGEST_PAUSE)
                process.delay = time.time() + pause
                self.log.say(
                    f"{name} ended ({self._ending(process)}): {restart_notice(pause, process.backoff)}"
                )
            case events.ProcessStateStoppedEvent():
                self.log.end(name)
            case _:
                pass

    def _ending(self, process: Any) -> str:
        """Return how a process ended: `exit status 1`, `terminated by SIGKILL`, or why it could not be started."""
        status = self.options.statuses.pop(process.pid, None)
        if status is None:
            return str(process.spawnerr or "for an unknown reason")
        return str(decode_wait_status(status)[1])


def restart_notice(pause: float, times: int) -> str:
    """Return in words what follows a crash right after a start.

    pause: seconds until the next start. times: how many such crashes there were in a row.
    """
    if times == 1:
        return f"starting it again in {pause:.0f} s"
    return f"starting it again in {pause:.0f} s ({times} times in a row; its last lines say why)"
