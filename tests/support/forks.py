"""Run Python processes as forks of a process that has imported all they need.

Starting Python, Ansible or the program takes most of such a process's time. A fork is still a
process of its own, with its own environment, arguments, streams and exit.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HANG_SECONDS = 1800
EXECUTOR = (
    "ansible.executor.playbook_executor",
    "ansible.executor.task_executor",
    "ansible.plugins.strategy",
)
# Ansible's plugins import these again in each run and in each worker.
PLUGINS_IMPORT = (
    "ansible.plugins.connection.ssh",
    "ansible.plugins.filter.core",
    "ansible.plugins.inventory.ini",
    "ansible.plugins.strategy.linear",
    "ansible.plugins.test.core",
    "ansible.plugins.vars.host_group_vars",
    "roster_fleet.check.files",
    "roster_fleet.check.hosts_list",
    "roster_fleet.check.targets",
    "roster_fleet.check.values",
    "roster_fleet.terminal",
    "roster_upload.config",
    "roster_upload.host.locks",
    "ruamel.yaml",
    "support.ansible_plugins",
    "xml.dom.minidom",
)
STREAMS = ("stdin", "stdout", "stderr")
PLAIN_CONFIG = ROOT / "tests/support/ansible.cfg"
OWN_PATHS = [str(ROOT / "scripts"), str(ROOT / "tests")]


class Forks:
    """A process that forks a child for each code to run."""

    def __init__(self, modules: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from support import forks; forks.serve({modules!r})"],
            cwd=ROOT,
            env={
                **environment,
                "PYTHONPATH": os.pathsep.join(OWN_PATHS),
                "OPENBLAS_NUM_THREADS": "1",  # only the forking thread survives in a fork
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._child = 0  # the running fork
        self._has_begun = threading.Event()
        atexit.register(self._end)

    def kill(self) -> None:
        """Kill the fork that runs or is about to run, and the processes that it has started."""
        self._has_begun.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child, signal.SIGKILL)

    def _end(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def run(
        self,
        code: str,
        *arguments: object,
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        stdin: str = "",
        seconds: float = HANG_SECONDS,
    ) -> subprocess.CompletedProcess[str]:
        """Run code as `python -c` does. Return its exit code and its output.

        The exit code is -9 if it took too long.
        """
        with tempfile.TemporaryDirectory() as name:
            files = [Path(name, stream) for stream in STREAMS]
            files[0].write_text(stdin)
            code_of_exit = self._ask(
                seconds,
                code=code,
                arguments=[*map(str, arguments)],
                environment=dict(os.environ if env is None else env),
                folder=str(cwd),
                streams=[*map(str, files)],
            )
            out, err = (path.read_text() for path in files[1:])
        return subprocess.CompletedProcess([code, *map(str, arguments)], code_of_exit, out, err)

    def _ask(self, seconds: float, **request: Any) -> int:
        assert self._process.stdin
        assert self._process.stdout
        hang = threading.Timer(seconds, self.kill)
        hang.daemon = True
        hang.start()
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        try:
            self._child = int(self._process.stdout.readline())
            self._has_begun.set()
            return int(self._process.stdout.readline())
        except KeyboardInterrupt:  # a fork's own session does not get it from the terminal
            if self._has_begun.is_set():
                self.kill()
            raise
        finally:
            hang.cancel()
            self._has_begun.clear()


@functools.cache
def having(*modules: str) -> Forks:
    """Return this run's process whose forks have imported these modules."""
    return Forks(modules, os.environ)


# The run is too short for garbage collection. It removes its temporary folder, which it has from
# the forking process.
ANSIBLE = """\
import gc, os, sys, warnings; gc.disable()
warnings.filterwarnings("ignore", "AnsibleCollectionFinder has already been configured")
sys.argv[0] = {program!r}
from ansible import constants
from ansible.cli.{name} import main
os.makedirs(constants.DEFAULT_LOCAL_TMP, mode=0o700, exist_ok=True)
main()
"""
# Forks have this process's own modules of the project, and the paths to them.
FORGET = f"""\
import sys
sys.path[:] = [path for path in sys.path if path not in {OWN_PATHS!r}]
for name in [name for name in sys.modules if name.startswith("support")]: del sys.modules[name]
sys.path[:0] = __import__("os").environ.get("PYTHONPATH", "").split(":")
"""


@functools.cache
def _having_ansible(settings: tuple[tuple[str, str], ...], is_alone: bool) -> Forks:
    """Return the process whose forks have imported Ansible, which reads its settings at import."""
    others = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    plugins = [name for name in PLUGINS_IMPORT if not (is_alone and name.startswith("roster_"))]
    modules = ("ansible.cli.inventory", "ansible.cli.playbook", *EXECUTOR, *plugins)
    return Forks(modules, {**others, **dict(settings)})


def of_ansible(
    program: str,
    *arguments: object,
    env: Mapping[str, str],
    cwd: Path = ROOT,
    is_alone: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run one of Ansible's programs in an environment, without a terminal.

    Alone, it has Ansible's own settings, and finds the project only where its environment leads.
    """
    if is_alone:
        env = {**env, "ANSIBLE_CONFIG": str(PLAIN_CONFIG)}
    name = "adhoc" if program == "ansible" else program.removeprefix("ansible-")
    code = ANSIBLE.format(program=program, name=name)
    if is_alone:
        code = FORGET + code
    settings = tuple(sorted((k, v) for k, v in env.items() if k.startswith("ANSIBLE_")))
    return _having_ansible(settings, is_alone).run(code, *arguments, env=env, cwd=cwd)


def ansible(program: str, *arguments: object, **more: str) -> tuple[int, str]:
    """Run one of Ansible's programs. Return its exit code and its output."""
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **more}
    done = of_ansible(program, *arguments, env=environment)
    return done.returncode, done.stdout + done.stderr


def serve(modules: tuple[str, ...]) -> None:
    """Run each requested code in a fork. Print the fork's number and exit code."""
    os.set_blocking(sys.stderr.fileno(), True)  # a killed ssh of a test may have left it otherwise
    gc.disable()  # imports make much, and nearly all of it stays
    with contextlib.redirect_stdout(sys.stderr):  # where Ansible may print while it loads plugins
        for module in modules:
            importlib.import_module(module)
    gc.enable()
    gc.freeze()  # or each fork's collector would copy all of it
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            os.setsid()
            signal.signal(signal.SIGINT, interrupt)
            print(os.getpid(), flush=True)
            _run(**json.loads(line))
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _run(
    code: str,
    arguments: list[str],
    environment: dict[str, str],
    folder: str,
    streams: list[str],
) -> None:
    for number, (name, path) in enumerate(zip(STREAMS, streams, strict=True)):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
        stream = open(number, "r" if number == 0 else "w", closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    sys.path[:0] = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.argv = ["-c", *arguments]
    code_of_exit: object = None
    try:
        exec(compile(code, "<fork>", "exec"), {"__name__": "__main__"})  # noqa: S102
    except SystemExit as end:
        code_of_exit = end.code
    except BaseException:  # noqa: BLE001 - as Python itself ends
        traceback.print_exc()
        code_of_exit = 1
    _end(code_of_exit)


def _end(code: object) -> None:
    """Exit as Python does, but skip the teardown of modules, which takes as long as a short run."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)
