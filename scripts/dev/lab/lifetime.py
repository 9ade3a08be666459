"""Start the lab, run a command in it, and remove it, as seen from outside."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from lab import disks, images, settings
from lab.containers import ssh
from lab.process import NAMESPACES, TIED, LabError, end, first_process, lock, run, say, wait
from lab.running import holder, inside, within

# The tree of cgroups is the machine's, at the machine's mount point if it has one.
REMOVE_CGROUPS = """
tree=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
if test -z "$tree"; then tree=/sys/fs/cgroup; mount -t cgroup2 none $tree; fi
if test -d "$tree/$1"; then
  awk '$1 == "usage_usec" { print $2 }' "$tree/$1/cpu.stat"
  find "$tree/$1" -depth -type d -exec rmdir {} +
fi
"""

STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def up(tied: bool, *, provisioned: bool = False, only: Sequence[str] | None = None) -> bool:
    """Start the lab unless it runs. Return whether this call started it.

    A tied lab ends with this process, even if the process is killed. `only` names the containers to
    start, by default all. Raise LabError if the lab does not come up, or if a container of the
    running lab does not answer.
    """
    images.prepare()
    with lock(), contextlib.ExitStack() as stack:
        if holder() and (settings.STATE / "ready").exists():
            silent = [name for name in disks.disks() if ssh(name, "true").returncode != 0]
            if silent:
                raise LabError(f"no answer from {', '.join(silent)}. Type: scripts/lab down")
            return False
        remove()
        settings.STATE.mkdir(mode=0o755)
        if provisioned:  # one lab provisions, and the others wait and start from its disks
            kept = settings.PROVISIONED
            stack.enter_context(lock(kept.with_name(f"{kept.name}.lock")))
        is_kept = provisioned and disks.is_kept()
        if is_kept:
            stack.pop_all().close()
        try:
            start_hosts(tied, is_kept, None if provisioned and not is_kept else only)
            if provisioned and not is_kept:
                disks.provision()
        except BaseException:
            remove()
            raise
    return True


def start_hosts(tied: bool, is_kept: bool, only: Sequence[str] | None) -> None:
    """Start the named containers, by default all, from kept or from plain disks.

    Hosts that are yet to be provisioned need the others, so `only` is for the rest.
    """
    started = time.monotonic()
    names = list(settings.CONTAINERS) if only is None else list(only)
    make_key(is_kept)
    disks.write_disks({name: disks.disk_of(name, provisioned=is_kept) for name in names})
    (settings.STATE / "images").mkdir()
    for release in settings.RELEASES:
        (settings.STATE / "images" / release).symlink_to(images.image(release))
    start(tied)
    say(f"{len(names)} containers are up after {time.monotonic() - started:.0f} s")


def make_key(is_kept: bool) -> None:
    """Make the key for logins to the hosts. Kept disks know the key that they had."""
    key = settings.STATE / "id_ed25519"
    if is_kept:
        for name in (key.name, key.name + ".pub"):
            shutil.copy(settings.PROVISIONED / name, settings.STATE / name)
    else:
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", key)


def start(tied: bool) -> None:
    """Make the namespaces and wait until their first process reports that all is ready."""
    log = (settings.STATE / "log").open("w")
    # The children keep both ends of this pipe, so that slirp4netns ends when the lab has ended.
    exit_fd, alive_fd = os.pipe()
    outer = subprocess.Popen(
        [*(TIED if tied else []), *NAMESPACES, "--net",
         sys.executable, str(settings.SCRIPT), "_hold"],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True,
        pass_fds=[alive_fd], start_new_session=True,
    )  # fmt: skip
    pid = str(first_process(outer))
    (settings.STATE / "pid").write_text(pid)
    ready_fd, network_fd = os.pipe()
    # This process is outside of the lab's process tree, so it needs the exit descriptor.
    subprocess.Popen(
        ["slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback",
         f"--exit-fd={exit_fd}", f"--ready-fd={network_fd}", pid, "tap0"],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        pass_fds=[exit_fd, network_fd], start_new_session=True,
    )  # fmt: skip
    for descriptor in (exit_fd, alive_fd, network_fd):
        os.close(descriptor)
    if not os.read(ready_fd, 1):
        raise LabError("slirp4netns made no network:\n" + log_tail())
    os.close(ready_fd)
    (settings.STATE / "network-up").touch()
    latest = time.monotonic() + settings.START_SECONDS
    while not (settings.STATE / "ready").exists():
        if outer.poll() is not None or time.monotonic() > latest:
            raise LabError("the lab did not start:\n" + log_tail())
        time.sleep(0.1)


def log_tail() -> str:
    """Return the last lines of the lab's log."""
    return (settings.STATE / "log").read_text(errors="replace")[-3000:]


def down() -> None:
    """Remove the lab, if there is one. Ignore further signals meanwhile."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    with lock():
        remove()


def remove() -> None:
    """Remove the remains of a lab: its processes, cgroups and files."""
    if pid := holder():
        end(pid)
    if settings.STATE.exists():
        # The last processes of a killed lab may still be about to leave their cgroups.
        wait(are_cgroups_removed, settings.END_SECONDS, "removing the lab's control groups")
        shutil.rmtree(settings.STATE)


def are_cgroups_removed() -> bool:
    """Remove the lab's cgroups and say what its containers used. Return whether this worked."""
    words = ["unshare", "--mount", "sh", "-c", REMOVE_CGROUPS, "sh", settings.NAME]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode == 0 and done.stdout:
        say(f"the containers used {int(done.stdout) / 1e6:.1f} s of CPU time")
    return done.returncode == 0


def run_command(command: list[str], **options: Any) -> int:
    """Run a command in a lab, and remove the lab unless it was there before.

    `options` are those of `up`. Return the command's exit code.
    """
    with contextlib.ExitStack() as stack:
        if not within() and up(tied=True, **options):
            stack.callback(down)
        process = subprocess.Popen([*TIED, *inside(command)])
        try:
            code = process.wait()
        except KeyboardInterrupt:
            # A terminal has sent Ctrl-C to the command, too. It may need time to clean up.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            raise
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        return code if code >= 0 else 128 - code
