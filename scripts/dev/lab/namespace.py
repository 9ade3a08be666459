"""Hold the lab's namespaces as their first process, and hide the machine's own settings there."""

from __future__ import annotations

import ipaddress
import os
import re
import resource
import time
from pathlib import Path
from typing import NoReturn

from lab import containers, settings
from lab.disks import disks
from lab.process import run, wait
from lab.running import podman_environment

CGROUPS = "/sys/fs/cgroup"


def hold() -> NoReturn:
    """Start the containers as the first process of the namespaces, then wait for orphans."""
    os.environ.update(podman_environment())
    run("mount", "--make-rprivate", "/")
    run("ip", "link", "set", "lo", "up")
    use_cgroup2(Path("/proc/self/mounts").read_text())
    use_own_run()
    configure_podman()
    wait((settings.STATE / "network-up").exists, 30, "a network for the lab")
    run("podman", "network", "create", "lab")
    (settings.STATE / "host_keys").mkdir()
    free = dict(zip(settings.CONTAINERS, containers.addresses(), strict=False))
    containers.start_all({name: free[name] for name in disks()})
    (settings.STATE / "ready").touch()
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            time.sleep(1)


def use_cgroup2(mount_table: str) -> None:
    """Replace a version-1 or hybrid cgroup tree in this mount namespace, since crun refuses it.

    A mount of the machine is moved. A new mount would change the options of all others.
    """
    mounts = [line.split() for line in mount_table.splitlines()]
    unified = [mount[1] for mount in mounts if mount[2] == "cgroup2"]
    if CGROUPS in unified:
        return
    for mount in mounts:
        if mount[2] == "cgroup":
            run("umount", mount[1])
    if unified:
        run("mount", "--move", unified[0], CGROUPS)
    else:
        run("mount", "-t", "cgroup2", "none", CGROUPS)


def resolver_settings(text: str) -> str:
    """Return resolv.conf for the lab, given the machine's.

    The lab cannot reach a resolver that listens on loopback only. If there is no other one,
    slirp4netns resolves names for the lab.
    """
    kept = []
    for line in text.splitlines():
        server = re.match(r"\s*nameserver\s+([^\s%]+)", line)
        if not server or not ipaddress.ip_address(server[1]).is_loopback:
            kept.append(line)
    if not any(line.split()[:1] == ["nameserver"] for line in kept):
        kept.append("nameserver 10.0.2.3")
    return "\n".join(kept) + "\n"


def use_own_run() -> None:
    """Hide the machine's /run and /dev/shm, which the podman of every lab would share."""
    resolver = Path("/etc/resolv.conf").resolve()  # often below /run
    text = resolver.read_text() if resolver.exists() else ""
    for point, mode in (("/run", "0755"), ("/dev/shm", "1777")):  # noqa: S108 - mount points
        run("mount", "-t", "tmpfs", "-o", f"mode={mode},nosuid,nodev", "lab", point)
    own = settings.STATE / "resolv.conf"
    own.write_text(resolver_settings(text))
    if not resolver.exists():
        resolver.parent.mkdir(parents=True, exist_ok=True)
        resolver.touch()
    run("mount", "--bind", own, resolver)


def configure_podman() -> None:
    """Write podman's configuration: its own store, and the highest limits of this machine."""
    limits = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    hard = {name: resource.getrlimit(number)[1] for name, number in limits.items()}
    ulimits = ", ".join(f'"{name}={value}:{value}"' for name, value in hard.items() if value > 0)
    state = settings.STATE
    (state / "containers.conf").write_text(
        f"[containers]\ndefault_ulimits = [{ulimits}]\npids_limit = 0\n"
        '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "crun"\n'
        f'image_copy_tmp_dir = "{state}"\n'
        f'[network]\nnetwork_backend = "netavark"\nnetwork_config_dir = "{state}/networks"\n'
    )
    (state / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{state}/store"\nrunroot = "{state}/run"\n'
    )
