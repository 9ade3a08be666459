"""Control the lab's vendor while passwords and keys change: its real sshd's accounts."""

from __future__ import annotations

import shlex

from support.lab_hosts import Host, connect

NAME = "lab-sftp"
# A second password beside the account's own, as PAM allows. Some vendors accept both for a while.
SECOND = r"""
set -e
program=/usr/local/sbin/second-password
install -d -m 0700 /etc/second-passwords
cat > $program <<'END'
#!/usr/bin/python3
import os, sys
given = sys.stdin.buffer.read().rstrip(b"\0")
try:
    wanted = open("/etc/second-passwords/" + os.environ["PAM_USER"], "rb").read()
except OSError:
    wanted = None
sys.exit(0 if given == wanted else 1)
END
chmod 0755 $program
grep -q second-password /etc/pam.d/sshd ||
    sed -i "1i auth sufficient pam_exec.so quiet expose_authtok $program" /etc/pam.d/sshd
install -d /etc/ssh/vendor-keys
echo 'AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/vendor-keys/%u' \
    > /etc/ssh/sshd_config.d/keys.conf
systemctl restart ssh.service
"""


def on(command: str, given: str = "") -> str:
    """Return the output of a command that runs as root at the vendor and reads `given`."""
    done = host().backend.run_with(given.encode(), command)
    assert done.succeeded, done.stderr
    return str(done.stdout)


def host() -> Host:
    """Return the vendor's server."""
    return connect(NAME)


def allow_second() -> None:
    """Allow accounts to have a second password, and keys."""
    on("sh", SECOND)


def add_account(username: str, folder: str) -> None:
    """Make an account like those of the districts, with a folder that it may write to."""
    home = shlex.quote(f"/srv/sftp/{username}")
    name = shlex.quote(username)
    on(
        f"id {name} >/dev/null 2>&1 || useradd --gid districts --no-create-home --home-dir / "
        f"--shell /usr/sbin/nologin {name}; install -d -m 0755 {home}; "
        f"install -d -o {name} -g districts -m 0750 {home}/{shlex.quote(folder)}"
    )


def take(username: str, password: str, second: str = "") -> None:
    """Set the passwords that the vendor accepts from now on."""
    on("chpasswd", f"{username}:{password}\n")
    path = shlex.quote(f"/etc/second-passwords/{username}")
    on(f"cat > {path}" if second else f"rm -f {path}", second)


def take_keys(username: str, *keys: str) -> None:
    """Set the public keys that the vendor accepts from now on."""
    on(f"cat > {shlex.quote('/etc/ssh/vendor-keys/' + username)}", "".join(k + "\n" for k in keys))
