#!/usr/bin/python3
"""Ansible module: one step of a feed's move from one host to another."""

from __future__ import annotations

DOCUMENTATION = r"""
module: feed_move
short_description: One step of a feed's move from one host to another
description:
  - The old host delivers until C(leave), which compares its state with what was packed and marks
    the feed as moved. The new host delivers from C(start) on. Between them nobody delivers.
  - A file C(/var/lib/roster-move/away/FEED) keeps the feed's units from starting. It has
    C(arriving) or C(moved), the other host, and the day. On the new host it then moves to
    C(arrived/FEED).
  - The state and the secrets are encrypted by C(age) for a key that the new host makes for this
    move. Its private half stays in the new host's memory.
options:
  feed:
    description: The feed's name.
    type: str
    required: true
  step:
    description:
      - C(look) reports and changes nothing. C(expect) marks the feed as arriving on the new host.
        C(receive) makes the new host's key. C(pack) encrypts the old host's state for it. C(open)
        unpacks it on the new host. C(leave) ends the deliveries of the old host. C(start) begins
        those of the new host. C(remove) removes a feed's state, secrets and schedule. C(forget)
        does the same for a feed that has not arrived, and removes its mark.
    type: str
    required: true
    choices: [look, expect, receive, pack, open, leave, start, remove, forget]
  host:
    description: This host's name in the inventory.
    type: str
    default: ""
  other:
    description: The other host's name in the inventory.
    type: str
    default: ""
  account:
    description: For C(open), the feed's account.
    type: str
    default: ""
  recipient:
    description: For C(pack), the public key that C(receive) has returned.
    type: str
    default: ""
  digest:
    description: For C(open), the SHA-256 of the encrypted file, as C(pack) has returned it.
    type: str
    default: ""
  snapshot:
    description: For C(open) and C(leave), the state's SHA-256, as C(pack) has returned it.
    type: str
    default: ""
  with_key:
    description: For C(open), the key of the secrets, as C(systemd-creds --with-key) takes it.
    type: str
    default: auto
  paths:
    description: For C(remove), exports below C(/srv/roster-upload) to remove with the feed.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
author: The Roster Delivery authors
"""

EXAMPLES = r"""
- name: End the deliveries of the old host
  feed_move:
    feed: alder-valley
    step: leave
    other: lab-02
    snapshot: "{{ __packed.snapshot }}"
"""

RETURN = r"""
mark:
  description: C(arriving), C(moved), C(arrived) or empty, before the step.
  type: str
  returned: always
other:
  description: The other host in that mark.
  type: str
  returned: always
found:
  description: C(is_here), C(has_receipts), C(is_rotating), C(bytes) and C(free) of this host.
  type: dict
  returned: for look
recipient:
  description: The public key of the new host.
  type: str
  returned: for receive
path:
  description: The encrypted file on this host.
  type: str
  returned: for receive and pack
digest:
  description: The SHA-256 of the encrypted file.
  type: str
  returned: for pack
snapshot:
  description: The SHA-256 of the listed state.
  type: str
  returned: for pack
"""

import contextlib
import datetime
import fcntl
import hashlib
import os
import pwd
import re
import shutil
import subprocess
import tempfile

from ansible.module_utils import credential_seal, feed_bundle
from ansible.module_utils.basic import AnsibleModule

SETTINGS = "/etc/roster-upload"
STATE = "/var/lib/roster-upload"
CACHE = "/var/cache/roster-upload"
EXPORTS = "/srv/roster-upload/"
UNITS = "/etc/systemd/system"
CRON = "/etc/cron.d/roster-upload"
MOVES = "/var/lib/roster-move"  # marks, and encrypted states on their way
KEYS = "/run/roster-move"  # in memory
FOLDERS = ("credentials", "pending", "previous")
ARRIVING, MOVED, ARRIVED = "arriving", "moved", "arrived"
RECIPIENT = re.compile("age1[0-9a-z]{50,70}")
NAME = re.compile("[a-z0-9][a-z0-9-]*")
HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*")


class Trouble(Exception):
    """The reason why a step was not done. The text says what to do, and has no secret."""


# ---- marks ---------------------------------------------------------------------------------------


def mark_file(feed, folder="away"):
    """Return the file that marks a feed: in `away` it stops its units."""
    return os.path.join(MOVES, folder, feed)


def mark_of(feed):
    """Return a feed's mark and the other host. Both are "" without a mark."""
    for folder in ("away", "arrived"):
        with contextlib.suppress(FileNotFoundError), open(mark_file(feed, folder)) as file:
            word, _, rest = file.read(1000).partition(" ")
            return word, rest.split(" ")[0].strip()
    return "", ""


def write_mark(feed, word, other, folder="away"):
    """Write a feed's mark, which survives a power cut."""
    path = mark_file(feed, folder)
    own_folder(MOVES, 0o755)
    own_folder(os.path.dirname(path), 0o755)
    day = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    replace(path, ("%s %s %s\n" % (word, other, day)).encode(), 0o644)


def own_folder(path, mode):
    """Make a folder of root, whatever the umask is."""
    os.makedirs(path, exist_ok=True)
    os.chmod(path, mode)


def replace(path, data, mode, written=None):
    """Replace a file as a whole. systemd skips the hidden file of a power cut."""
    folder, base = os.path.split(path)
    waiting = os.path.join(folder, ".%s.new" % base)
    with open(os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as new:
        os.fchmod(new.fileno(), mode)
        new.write(data)
        new.flush()
        os.fsync(new.fileno())
    if written is not None:
        os.utime(waiting, (written, written))
    os.replace(waiting, path)
    sync(folder)


def sync(folder):
    """Make the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# ---- the old host --------------------------------------------------------------------------------


@contextlib.contextmanager
def locked_state(feed):
    """Yield a state's descriptor and its owner, while no delivery can begin. Raise Trouble."""
    path = os.path.join(STATE, feed)
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        raise Trouble(
            "%s has no folder %s on this host. Run site.yml for it" % (feed, path)
        ) from None
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, folder)
        owner = os.fstat(folder)
        flags = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        lock = os.open("lock", flags, 0o640, dir_fd=folder)
        stack.callback(os.close, lock)
        if os.fstat(lock).st_uid != owner.st_uid:
            os.fchown(lock, owner.st_uid, owner.st_gid)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Trouble(
                "a delivery or a rehearsal of %s is under way. Run the same command again once it "
                "has ended" % feed
            ) from None
        yield folder, owner.st_uid


def used_secrets(feed):
    """Return the secrets that a feed uses on this host, and their times, by slot. Raise Trouble."""
    found = {}
    for slot in feed_bundle.SLOTS:
        path = os.path.join(SETTINGS, "credentials", feed, slot)
        if not os.path.lexists(path):
            continue
        name = "--name=%s_%s" % (feed, slot)
        code, secret, _ = credential_seal.systemd_creds(["decrypt", name, path, "-"])
        if code != 0:
            raise Trouble("this host cannot open %s. Run site.yml for it, which says why" % path)
        found[slot] = (secret, os.lstat(path).st_mtime)
    if "state" not in found:
        raise Trouble("%s has no key for its state on this host. Run site.yml for it" % feed)
    return found


def pack(given):
    """Encrypt a feed's state and secrets for the new host."""
    feed, recipient = given["feed"], given["recipient"]
    if not RECIPIENT.fullmatch(recipient):
        raise Trouble("the new host's key is no key of age")
    path = os.path.join(MOVES, feed + ".age")
    own_folder(MOVES, 0o755)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with locked_state(feed) as (folder, owner):
        secrets = used_secrets(feed)
        files = feed_bundle.listed(folder, owner)
        about = feed_bundle.describe(feed, given["host"], files, secrets)
        plain = {slot: data for slot, (data, _) in secrets.items()}
        with running(["age", "--encrypt", "-r", recipient, "-o", path], stdin=True) as age:
            feed_bundle.pack(age.stdin, about, folder, owner, plain)
    # The account that logs in fetches it. It is encrypted.
    os.chmod(path, 0o600)
    os.chown(path, int(os.environ.get("SUDO_UID", os.getuid())), -1)
    return {"path": path, "digest": digest(path), "snapshot": feed_bundle.snapshot(files)}


@contextlib.contextmanager
def running(words, stdin=False):
    """Yield a process whose end is awaited. Raise Trouble if it fails."""
    pipes = {"stdin" if stdin else "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, **pipes) as process:
        try:
            yield process
        except BrokenPipeError:
            pass
        except BaseException:
            process.kill()
            raise
        _, errors = process.communicate()
    if process.returncode:
        raise Trouble("%s: %s" % (words[0], errors.decode("utf-8", "replace").strip()[:500]))


def digest(path):
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def leave(given):
    """End the deliveries of this host, if its state is still the one that was packed."""
    feed = given["feed"]
    with locked_state(feed) as (folder, owner):
        if feed_bundle.snapshot(feed_bundle.listed(folder, owner)) != given["snapshot"]:
            raise Trouble(
                "%s has worked on this host meanwhile, so its state is newer than the copy. Run "
                "the same command again" % feed
            )
        write_mark(feed, MOVED, given["other"])
        with contextlib.suppress(FileNotFoundError):
            os.unlink(mark_file(feed, "arrived"))
    return {}


# ---- the new host --------------------------------------------------------------------------------


def expect(given):
    """Mark a feed as arriving, so that nothing starts it here."""
    feed = given["feed"]
    mark, other = mark_of(feed)
    if mark == ARRIVED or (mark == ARRIVING and other != given["other"]):
        raise Trouble("%s comes from %s already" % (feed, other))
    if not mark and has_receipts(feed):
        raise Trouble(
            "this host has receipts of its own of a feed %s. Decommission it first" % feed
        )
    write_mark(feed, ARRIVING, given["other"])
    return {}


def has_receipts(feed):
    """Return whether a host has a feed's ledger."""
    return os.path.lexists(os.path.join(STATE, feed, "receipts.jsonl"))


def require(feed, *marks):
    """Raise Trouble unless a feed has one of the marks."""
    mark, _ = mark_of(feed)
    if mark not in marks:
        raise Trouble(
            "%s is %s on this host, so this step is not possible" % (feed, mark or "at home")
        )


def receive(given):
    """Make a key for this move. Its private half stays in memory."""
    feed = given["feed"]
    require(feed, ARRIVING)
    own_folder(KEYS, 0o700)
    key = os.path.join(KEYS, feed)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(key)
    with running(["age-keygen", "-o", key]) as making:
        making.stdout.read()
    with running(["age-keygen", "-y", key]) as asking:
        recipient = asking.stdout.read().decode().strip()
    return {"recipient": recipient, "path": os.path.join(MOVES, feed + ".age")}


def open_bundle(given):
    """Replace the feed's empty state and its secrets by those of the old host."""
    feed, path = given["feed"], os.path.join(MOVES, given["feed"] + ".age")
    require(feed, ARRIVING)
    if digest(path) != given["digest"]:
        raise Trouble("the encrypted file is not the one that the old host has packed")
    account = pwd.getpwnam(given["account"])
    staging = tempfile.mkdtemp(dir=STATE, prefix=".%s." % feed)
    try:
        with running(["age", "--decrypt", "-i", os.path.join(KEYS, feed), path]) as age:
            about, secrets = feed_bundle.unpack(age.stdout, staging, feed)
        state = {n: one for n, one in about["files"].items() if n.startswith("state/")}
        if feed_bundle.snapshot(state) != given["snapshot"] or "state" not in secrets:
            raise Trouble("the bundle has another state than the old host has packed")
        for slot, secret in sorted(secrets.items()):
            store(feed, slot, secret, about["written"][slot], given["with_key"])
        put(staging, os.path.join(STATE, feed), account)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    for left in (path, os.path.join(KEYS, feed)):
        os.unlink(left)
    return {}


def store(feed, slot, secret, written, with_key):
    """Encrypt a secret for this host, with the time since which it is in use. Raise Trouble."""
    folder = os.path.join(SETTINGS, "credentials", feed)
    if not os.path.isdir(folder):
        raise Trouble("there is no folder %s. Run site.yml for this host" % folder)
    try:
        sealed = credential_seal.sealed("%s_%s" % (feed, slot), with_key, secret)
    except credential_seal.SealError as error:
        raise Trouble("systemd-creds could not encrypt %s: %s" % (slot, error)) from None
    replace(os.path.join(folder, slot), sealed, 0o600, written)


def put(staging, target, account):
    """Give a state to the feed's account, and put it in the place of the present one."""
    for folder, _, names in os.walk(staging):
        for name in names:
            os.chown(os.path.join(folder, name), account.pw_uid, account.pw_gid)
        os.chown(folder, account.pw_uid, account.pw_gid)
        sync(folder)
    if os.path.lexists(target):
        shutil.rmtree(target)  # it follows no links
    os.rename(staging, target)
    sync(os.path.dirname(target))


def start(given):
    """Let this host deliver from now on."""
    feed = given["feed"]
    require(feed, ARRIVING)
    write_mark(feed, ARRIVED, given["other"], "arrived")
    os.unlink(mark_file(feed))
    sync(os.path.dirname(mark_file(feed)))
    return {}


# ---- both hosts ----------------------------------------------------------------------------------


def look(given):
    """Report what this host has of a feed."""
    feed = given["feed"]
    state, pending = os.path.join(STATE, feed), os.path.join(SETTINGS, "pending", feed)
    sizes = [
        os.lstat(os.path.join(folder, name)).st_size
        for folder, _, names in os.walk(state)
        for name in names
    ]
    there = next(path for path in (STATE, os.path.dirname(STATE), "/") if os.path.isdir(path))
    return {
        "found": {
            "is_here": os.path.lexists(os.path.join(SETTINGS, feed + ".toml")),
            "has_receipts": has_receipts(feed),
            "is_rotating": os.path.isdir(pending) and bool(os.listdir(pending)),
            "bytes": sum(sizes),
            "free": shutil.disk_usage(there).free,
        }
    }


def remove(given):
    """Remove a feed's schedule, secrets, state and exports, and what a move has left."""
    feed = given["feed"]
    require(feed, MOVED, ARRIVING)
    timers = [path for path in timer_files(feed) if os.path.lexists(path)]
    if timers:
        subprocess.run(["systemctl", "stop", "roster-*@%s.timer" % feed], check=False)
    unschedule(feed)
    paths = [
        *timers,
        os.path.join(SETTINGS, feed + ".toml"),
        *(os.path.join(SETTINGS, folder, feed) for folder in FOLDERS),
        os.path.join(STATE, feed),
        os.path.join(CACHE, feed),
        os.path.join(MOVES, feed + ".age"),
        os.path.join(KEYS, feed),
        *(path for path in map(os.path.normpath, given["paths"]) if path.startswith(EXPORTS)),
    ]
    for path in paths:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)
    if timers:
        subprocess.run(["systemctl", "daemon-reload"], check=False)
    return {}


def timer_files(feed):
    """Return the paths of a feed's timers."""
    end = "@%s.timer" % feed
    return [
        os.path.join(folder, name)
        for folder in (os.path.join(UNITS, "timers.target.wants"), UNITS)
        if os.path.isdir(folder)
        for name in sorted(os.listdir(folder))
        if name.startswith("roster-") and name.endswith(end)
    ]


def unschedule(feed):
    """Take a feed out of the table of cron."""
    with contextlib.suppress(FileNotFoundError):
        with open(CRON) as file:
            lines = file.readlines()
        kept = [line for line in lines if not line.rstrip().endswith("@%s.service" % feed)]
        if kept != lines:
            replace(CRON, "".join(kept).encode(), 0o644)


def forget(given):
    """Remove what has come of a feed, and its mark."""
    feed = given["feed"]
    require(feed, ARRIVING)
    remove(given)
    os.unlink(mark_file(feed))
    return {}


STEPS = {
    "look": look,
    "expect": expect,
    "receive": receive,
    "pack": pack,
    "open": open_bundle,
    "leave": leave,
    "start": start,
    "remove": remove,
    "forget": forget,
}


def main():
    """Run the module."""
    texts = ("host", "other", "account", "recipient", "digest", "snapshot")
    module = AnsibleModule(
        argument_spec={
            "feed": {"type": "str", "required": True},
            "step": {"type": "str", "required": True, "choices": list(STEPS)},
            **{name: {"type": "str", "default": ""} for name in texts},
            "with_key": {"type": "str", "default": "auto"},
            "paths": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    given, result = module.params, {}
    if not NAME.fullmatch(given["feed"]) or not HOST.fullmatch(given["other"] or "_"):
        module.fail_json(msg="this is no name of a feed or of a host")
    result["mark"], result["other"] = mark_of(given["feed"])
    is_look = given["step"] == "look"
    try:
        if is_look or not module.check_mode:
            result.update(STEPS[given["step"]](given))
    except (Trouble, feed_bundle.BundleError, OSError, KeyError) as error:
        module.fail_json(msg=str(error), **result)
    module.exit_json(changed=not is_look, **result)


if __name__ == "__main__":
    main()
