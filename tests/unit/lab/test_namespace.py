"""Check the resolver and the cgroup tree of the lab's namespaces."""

from __future__ import annotations

import pytest
from lab import namespace


@pytest.mark.parametrize(
    ("machine", "inside"),
    [
        ("nameserver 192.0.2.53\n", "nameserver 192.0.2.53\n"),
        ("search example\nnameserver 127.0.0.53\n", "search example\nnameserver 10.0.2.3\n"),
        ("nameserver ::1\n", "nameserver 10.0.2.3\n"),
        ("nameserver 127.0.0.1\nnameserver 192.0.2.1\n", "nameserver 192.0.2.1\n"),
        ("nameserver fe80::1%eth0\n", "nameserver fe80::1%eth0\n"),
        ("# nameserver 192.0.2.1\n", "# nameserver 192.0.2.1\nnameserver 10.0.2.3\n"),
        ("", "nameserver 10.0.2.3\n"),
    ],
)
def test_resolver(machine: str, inside: str) -> None:
    assert namespace.resolver_settings(machine) == inside


V1 = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n"


@pytest.mark.parametrize(
    ("mount_table", "commands"),
    [
        ("cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n", []),
        (
            V1 + "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nsdelegate 0 0\n",
            ["umount /sys/fs/cgroup/pids", "mount --move /sys/fs/cgroup/unified /sys/fs/cgroup"],
        ),
        (V1, ["umount /sys/fs/cgroup/pids", "mount -t cgroup2 none /sys/fs/cgroup"]),
    ],
    ids=["version 2", "hybrid", "version 1"],
)
def test_a_cgroup_tree_is_mounted_anew_only_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, mount_table: str, commands: list[str]
) -> None:
    done: list[str] = []
    monkeypatch.setattr(namespace, "run", lambda *words: done.append(" ".join(words)))
    namespace.use_cgroup2(mount_table)
    assert done == commands
