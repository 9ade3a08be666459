"""Start, restart and remove single containers. Most of this runs inside of the lab."""

from __future__ import annotations

import functools
import ipaddress
import itertools
import re
import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence

from lab import settings
from lab.disks import disk_of, disks, is_kept, write_disks
from lab.process import LabError, run, wait
from lab.running import inside

# A privileged container could change the machine's clock, kernel modules and audit rules.
WITHOUT = "setpriv --bounding-set=-sys_time,-sys_module,-audit_control"

# The container runs this before systemd. systemd needs shared mounts for credentials. The kernel's
# settings belong to the machine, so they are read-only, except for those of the own network.
START = f"""
mount --make-rshared /
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount --bind /proc/sys/net /proc/sys/net
mount -o remount,bind,rw /proc/sys/net
ssh-keygen -q -A
install -d -o deploy -g deploy -m 0700 /home/deploy/.ssh
install -o deploy -g deploy -m 0600 /lab/id_ed25519.pub /home/deploy/.ssh/authorized_keys
exec {WITHOUT} /sbin/init
"""


def addresses() -> Iterator[str]:
    """Yield the network's addresses. A container keeps its address when it restarts."""
    subnet = run("podman", "network", "inspect", "--format", "{{(index .Subnets 0).Subnet}}", "lab")
    free = ipaddress.ip_network(subnet.strip()).hosts()
    next(free)  # the gateway's
    return map(str, free)


def start_all(wanted: dict[str, str]) -> None:
    """Start containers, given their addresses by name, and wait until they have booted."""
    for name, address in wanted.items():
        start(name, address, disks()[name])
    has_key = "until test -s /etc/ssh/ssh_host_ed25519_key.pub; do sleep 0.1; done"
    for name in wanted:
        run("podman", "exec", name, "sh", "-c", has_key)
    with (settings.STATE / "ssh_config").open("a") as config:
        config.writelines(map(describe, wanted, wanted.values()))
    for name in wanted:
        wait_until_booted(name)


def start(name: str, address: str, disk: str) -> None:
    """Start a container with an address, from the tree of a disk."""
    aliases = settings.CONTAINERS.get(name, ("", []))[1]
    run(
        "podman", "run", "--detach", "--name", name, "--hostname", name, "--network", "lab",
        f"--ip={address}", f"--mac-address={mac(address)}",
        *(f"--network-alias={alias}" for alias in aliases),
        "--privileged", "--systemd=always",
        f"--cgroup-parent=/{settings.NAME}",
        "--volume", f"{settings.STATE}/id_ed25519.pub:/lab/id_ed25519.pub:ro",
        "--rootfs", f"{disk}:O", "/bin/sh", "-ec", START,
    )  # fmt: skip


def mac(address: str) -> str:
    """Return the hardware address of a container, the same for each start as a machine's is."""
    return ":".join(f"{byte:02x}" for byte in (2, 0, *ipaddress.ip_address(address).packed))


def describe(name: str, address: str) -> str:
    """Pin a container's host key and return its block of the SSH configuration."""
    keys = run("podman", "exec", name, "sh", "-c", "cut -d' ' -f1,2 /etc/ssh/ssh_host_*_key.pub")
    with (settings.STATE / "known_hosts").open("a") as known:
        known.writelines(f"{address} {key}\n" for key in keys.splitlines())
    ed25519 = next(key for key in keys.splitlines() if key.startswith("ssh-ed25519"))
    (settings.STATE / "host_keys" / f"{name}.pub").write_text(ed25519 + "\n")
    return (
        f"Host {name}\n"
        f"  HostName {address}\n"
        f"  User deploy\n"
        f'  IdentityFile "{settings.STATE}/id_ed25519"\n'
        f"  IdentitiesOnly yes\n"
        f'  UserKnownHostsFile "{settings.STATE}/known_hosts"\n'
        f"  StrictHostKeyChecking yes\n"
        f"  ProxyCommand {shlex.quote(str(settings.SCRIPT))} connect %h %p\n"
        # Connections can be shared, but not with the lab of another checkout.
        f"  ControlPath /tmp/{settings.NAME}-%n\n"
    )


def ssh(name: str, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a container over SSH, as an operator would."""
    return subprocess.run(
        ["ssh", "-F", settings.STATE / "ssh_config", "-o", "ConnectTimeout=5", name, command],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


def wait_until_booted(name: str, seconds: float = 90) -> None:
    """Wait until all services of a container run. Raise LabError after so many seconds."""
    latest = time.monotonic() + seconds
    while True:
        done = ssh(name, "systemctl is-system-running --wait; systemctl --failed --no-legend")
        if done.stdout.strip() == "running":
            return
        if time.monotonic() > latest:
            raise LabError(f"{name} did not come up: {done.stdout}{done.stderr}")
        time.sleep(0.5)


def restart(name: str) -> None:
    """Reboot a container. This runs inside or outside of the lab."""
    if subprocess.run(inside(["podman", "restart", "--time=20", name]), check=False).returncode:
        raise LabError(f"{name} does not restart")
    wait_until_booted(name)


def add(names: Sequence[str], *, provisioned: bool) -> None:
    """Start further hosts. Hosts that run already are left alone."""
    there = (settings.STATE / "ssh_config").read_text().split()
    new = [name for name in names if name not in there]
    if new and provisioned and not is_kept():
        raise LabError("no disks of provisioned hosts. Type: scripts/lab keep")
    write_disks(disks() | {name: disk_of(name, provisioned=provisioned) for name in new})
    free = [address for address in itertools.islice(addresses(), 250) if address not in there]
    start_all(dict(zip(new, free, strict=False)))


def remove(names: Sequence[str]) -> None:
    """Remove further hosts. Raise LabError for hosts that are part of every lab."""
    if ours := settings.CONTAINERS.keys() & set(names):
        raise LabError(f"{', '.join(sorted(ours))}: part of every lab. Type: scripts/lab down")
    for name in names:
        wait(functools.partial(is_removed, name), settings.END_SECONDS, f"removing {name}")
        write_disks({other: disk for other, disk in disks().items() if other != name})
        forget(name)


def is_removed(name: str) -> bool:
    """Remove a container. Return whether this worked, since a busy machine may need longer."""
    words = ["podman", "rm", "--force", "--time=1", name]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def forget(name: str) -> None:
    """Remove a container from the SSH configuration and its keys from the known hosts."""
    config, known = settings.STATE / "ssh_config", settings.STATE / "known_hosts"
    text = config.read_text()
    block = re.search(rf"(?m)^Host {re.escape(name)}\n  HostName (\S+)\n(  .*\n)+", text)
    if block:
        config.write_text(text.replace(block[0], ""))
        keys = known.read_text().splitlines(keepends=True)
        known.write_text("".join(key for key in keys if not key.startswith(block[1] + " ")))
