"""Groups and accounts without a login: compared with the host, and changed there."""

from __future__ import annotations

import grp
import pwd
import time
from pathlib import Path

HOME, SHELL = "/nonexistent", "/usr/sbin/nologin"
SHADOW = Path("/etc/shadow")
LOCKED = "!"
OPTIONS = {
    "name": {"type": "str", "required": True},
    "group": {"type": "str", "required": True},
    "groups": {"type": "list", "elements": "str"},
    "password_hash": {"type": "str", "no_log": True},
}
SECONDS = 5  # for the processes of a removed account to end


def find(lookup, name):
    """Return the entry of a name, or None."""
    try:
        return lookup(name)
    except KeyError:
        return None


def password_field(name):
    """Return the second field of an account in /etc/shadow, or None."""
    for line in SHADOW.read_text(encoding="utf-8").splitlines():
        user, _, rest = line.partition(":")
        if user == name:
            return rest.partition(":")[0]
    return None


class Accounts:
    """The groups and accounts of one call, compared with the host and changed there."""

    def __init__(self, module, *, is_check):
        self.module = module
        self.is_check = is_check
        self.changed_names = []
        self.diffs = []
        self.made = set()  # groups that check mode would have made

    def change(self, name, before, after, *command, data=None):
        """Note a change and, unless in check mode, run the command that makes it."""
        self.changed_names.append(name)
        self.diffs.append(
            {
                "before_header": name,
                "after_header": name,
                "before": "%s\n" % before,
                "after": "%s\n" % after,
            }
        )
        if not self.is_check:
            self.module.run_command(list(command), check_rc=True, data=data)

    def make_group(self, name):
        """Make a group if it is missing."""
        if name not in self.made and not find(grp.getgrnam, name):
            self.made.add(name)
            self.change(name, "no group", "group", "groupadd", "--system", name)

    @staticmethod
    def shown(group, groups, home, shell):
        """Return an account's state as a diff shows it."""
        return "group %s, also in %s, home %s, shell %s" % (
            group,
            ", ".join(groups) or "none",
            home,
            shell,
        )

    def make_account(self, account):
        """Make or change an account, and make its groups."""
        name, group, groups = account["name"], account["group"], account["groups"]
        for one in [group, *(groups or [])]:
            self.make_group(one)
        options = ["--gid", group, "--home-dir", HOME, "--shell", SHELL]
        options += [] if groups is None else ["--groups", ",".join(groups)]
        now = find(pwd.getpwnam, name)
        if not now:
            wanted = self.shown(group, sorted(groups or []), HOME, SHELL)
            more = ["--system", "--no-create-home", "--no-user-group", "--comment"]
            self.change(
                name, "no account", wanted, "useradd", *options, *more, "Roster delivery", name
            )
            return
        joined = sorted(entry.gr_name for entry in grp.getgrall() if name in entry.gr_mem)
        primary = find(grp.getgrgid, now.pw_gid)
        before = self.shown(
            primary.gr_name if primary else now.pw_gid, joined, now.pw_dir, now.pw_shell
        )
        after = self.shown(group, joined if groups is None else sorted(groups), HOME, SHELL)
        if before != after:
            options[options.index("--home-dir")] = "--home"
            self.change(name, before, after, "usermod", *options, name)

    def set_password(self, name, wanted):
        """Give an account the hash of its password, or lock it for passwords."""
        now = password_field(name)
        is_locked = now is None or now[:1] in (LOCKED, "*")
        if now == wanted or (is_locked and not wanted):
            return
        self.change(
            name,
            "no password" if is_locked else "a password",
            "another password"
            if wanted and not is_locked
            else "a password"
            if wanted
            else "no password",
            "chpasswd",
            "--encrypted",
            data="%s:%s" % (name, wanted or LOCKED),
        )

    def end_processes(self, name):
        """End an account's processes. While one runs, such as a session, userdel refuses."""
        for _ in range(0 if self.is_check else SECONDS * 10):
            if self.module.run_command(["pkill", "--signal", "KILL", "--uid", name])[0] != 0:
                return
            time.sleep(0.1)

    def remove(self, name):
        """Remove an account and the group of its name."""
        if find(pwd.getpwnam, name):
            self.end_processes(name)
            self.change(name, "account", "no account", "userdel", name)
        # userdel has removed the group already if it was the primary one and empty.
        if find(grp.getgrnam, name):
            self.change(name, "group", "no group", "groupdel", name)

    def apply(self, groups, accounts, absent=()):
        """Bring groups and accounts into their stated state. Return the changed names."""
        for name in groups:
            self.make_group(name)
        for account in accounts:
            self.make_account(account)
            if account["password_hash"] is not None:
                self.set_password(account["name"], account["password_hash"])
        for name in absent:
            self.remove(name)
        return self.changed_names
