"""Credentials of systemd on a host: compared with their secrets, and written there."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import stat
import time

from ansible.module_utils import credential_seal

# The argument specification of a list of credentials.
OPTIONS = {
    "type": "list",
    "elements": "dict",
    "options": {
        "name": {"type": "str", "required": True},
        "path": {"type": "path", "required": True},
        "secret": {"type": "str", "no_log": True},
        "accept": {"type": "list", "elements": "str", "default": [], "no_log": True},
        "since": {"type": "str", "default": ""},
        "newer_only": {"type": "bool", "default": False},
        "generate": {"type": "str", "choices": ["bytes", "ssh_key"]},
        "source": {"type": "dict"},
        "lock": {"type": "path"},
        "state": {
            "type": "str",
            "choices": ["present", "absent"],
            "default": "present",
        },
    },
    "mutually_exclusive": [["secret", "generate"], ["generate", "source"]],
}
KEYS = ["auto", "host", "tpm2", "host+tpm2"]
MODE = 0o600
KEY_BYTES = 32
LOCK_SECONDS = 900  # a login, the longest step, takes a few minutes at most


class Trouble(Exception):
    """The reason why a credential was not changed. The text says what to do, and has no secret."""


LOST = (
    "this host can no longer decrypt %s, which it generated itself. That happens after a change "
    "of its TPM or of /var/lib/systemd/credential.secret. If you can restore that, do so. "
    "Otherwise %s. Let the host generate a new one: run site.yml for it with "
    "-e roster_credentials_replace_lost=true"
)
LOSSES = {
    "bytes": "the packages that it stored for `resend` and `diff` are lost, and the guard holds "
    "the next export until you approve it",
    "ssh_key": "its key is lost, and the vendor has to install the new one",
}


class Lost(Trouble):
    """The host cannot decrypt a secret that it generated itself."""


class Held(Trouble):
    """Somebody else rotates the credential."""

    def __init__(self, path, lock):
        super().__init__(
            "%s is being rotated by %s, since %s. Run the same command again once that is done. "
            "The lock of an interrupted run expires after %d minutes"
            % (os.path.basename(path), lock["who"], lock["since"], LOCK_SECONDS // 60)
        )
        self.lock = {key: lock[key] for key in ("token", "who", "since")}


def seconds():
    """Return the seconds since the host's start, independent of its clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def held_lock(path):
    """Return the lock that somebody holds, or None. Raise Trouble for a damaged lock."""
    try:
        with open(path, encoding="utf-8") as file:
            lock = json.load(file)
        return lock if seconds() < lock["until"] else None
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise Trouble("the lock %s is damaged. Remove it once nobody rotates" % path) from None


def take(path, holder, check):
    """Take or extend a lock. Raise Held if somebody else has it."""
    lock = held_lock(path)
    if lock and lock["token"] not in (holder["token"], holder.get("gone")):
        raise Held(path, lock)
    if check:
        return
    is_mine = lock and lock["token"] == holder["token"]
    utc = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    since = lock["since"] if is_mine else utc
    waiting = path + ".new"
    lock = {"token": holder["token"], "who": holder["who"], "since": since}
    with open(os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE), "w") as new:
        json.dump({**lock, "until": seconds() + LOCK_SECONDS}, new)
    os.replace(waiting, path)


@contextlib.contextmanager
def alone(path):
    """Keep other calls from a folder's locks, and from the locked credentials, during the block."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def held(credential):
    """Return the secret in a credential's file (bytes), or None if it cannot be read."""
    if not os.path.lexists(credential["path"]):
        return None
    code, secret, _ = credential_seal.systemd_creds(
        ["decrypt", "--name=" + credential["name"], credential["path"], "-"]
    )
    return secret if code == 0 else None


def digest(path):
    """Return the SHA-256 of an encrypted file."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def held_source(credential):
    """Return another credential's secret. Raise Trouble if it is not the one that was tried."""
    source = credential["source"]
    secret = held(source)
    if secret is None:
        raise Trouble("this host cannot read the credential %(name)s in %(path)s" % source)
    # After the reading: a file that was replaced before it has another digest, too.
    if "digest" in source and digest(source["path"]) != source["digest"]:
        raise Trouble("%(name)s is not the tested credential. Run the same command again" % source)
    if credential["secret"] is not None and secret != credential["secret"].encode("utf-8"):
        raise Trouble("%(name)s differs from the vault file. Run the same command again" % source)
    return secret


def is_closed(path):
    """Return whether only root can read a file."""
    now = os.lstat(path)
    return stat.S_ISREG(now.st_mode) and stat.S_IMODE(now.st_mode) == MODE and now.st_uid == 0


def day(path):
    """Return the day of a file's modification (UTC, YYYY-MM-DD), or "" if there is no file."""
    if not os.path.lexists(path):
        return ""
    written = datetime.datetime.fromtimestamp(os.lstat(path).st_mtime, datetime.UTC)
    return written.strftime("%Y-%m-%d")


def wanted(credential):
    """Return the right secrets (bytes), first the one to write. Return [] if any is right."""
    if credential["source"]:
        return [held_source(credential)]
    if credential["secret"] is not None:
        return [text.encode("utf-8") for text in [credential["secret"], *credential["accept"]]]
    return []


def new_secret(credential):
    """Return a generated secret (bytes)."""
    if credential["generate"] == "bytes":
        return os.urandom(KEY_BYTES)
    # ssh-keygen would need a file. This library comes with python3-paramiko.
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415

    return ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )


def public_key(secret):
    """Return the public key of an OpenSSH private key, or None if it is something else."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    try:
        key = serialization.load_ssh_private_key(secret, None).public_key()
    except ValueError:
        return None
    return key.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    ).decode()


def timestamp(credential):
    """Return the start of the day `since` in seconds of the epoch, or None. Raise Trouble."""
    if not credential["since"]:
        return None
    try:
        moment = datetime.datetime.strptime(credential["since"] + " +0000", "%Y-%m-%d %z")
    except ValueError:
        raise Trouble(
            "%(name)s: since is %(since)s. Write a day such as 2026-08-31" % credential
        ) from None
    return moment.timestamp()


def lasting(path):
    """Write a file's entry in its folder to the disk, so that it outlives a power cut."""
    handle = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(with_key, credential, secret, written):
    """Replace a credential's file as a whole. Raise Trouble.

    `written` is its time of modification in seconds of the epoch, or None for now.
    """
    name, path = credential["name"], credential["path"]
    try:
        sealed = credential_seal.sealed(name, with_key, secret)
    except credential_seal.SealError as error:
        raise Trouble(
            "systemd-creds could not encrypt the credential %s: %s" % (name, error)
        ) from None
    folder, base = os.path.split(path)
    if not os.path.isdir(folder):
        raise Trouble("there is no folder %s. Run site.yml, which makes it" % folder)
    # systemd loads the whole folder, except hidden files. So it skips a leftover of a power cut.
    waiting = os.path.join(folder, ".%s.new" % base)
    with open(os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE), "wb") as new:
        os.fchmod(new.fileno(), MODE)
        new.write(sealed)
        new.flush()
        os.fsync(new.fileno())
    if written is not None:
        os.utime(waiting, (written, written))
    os.replace(waiting, path)
    lasting(path)


class Sealer:
    """Writes credentials with one kind of key, and knows whether a file has its seal."""

    def __init__(self, params, check):
        self.with_key = params["with_key"]
        self.replace_lost = params["replace_lost"]
        self.check = check
        self.seal = None

    def has_sealed(self, path):
        """Return whether a readable file is sealed as a new one would be. Raise Trouble."""
        if self.seal is None:
            try:
                data = credential_seal.sealed("probe", self.with_key, b"")
            except credential_seal.SealError as error:
                raise Trouble(
                    "systemd-creds cannot encrypt with roster_credentials_key %s: %s"
                    % (self.with_key, error)
                ) from None
            self.seal = credential_seal.seal_of(data)
        with open(path, "rb") as file:
            return credential_seal.seal_of(file.read()) == self.seal


def set_aside(path):
    """Hide a file that nobody can decrypt. systemd skips hidden files."""
    folder, base = os.path.split(path)
    os.replace(path, os.path.join(folder, ".%s.lost" % base))


def remove(credential, check):
    """Remove a credential, unless in check mode. Return whether there was one."""
    if not os.path.lexists(credential["path"]):
        return False
    if not check:
        os.unlink(credential["path"])
        lasting(credential["path"])
    return True


def refuse_older(credential, written):
    """Raise Trouble unless a credential is newer than the one on the host.

    A file from a rotation has a time of day. A file from a vault file has only the day.
    """
    since = timestamp(credential)
    if since is None or os.lstat(credential["path"]).st_mtime > since:
        raise Trouble(
            "%s: this host holds another credential (of %s) than the vault file (of %s). "
            "If somebody has rotated it, update this copy of the inventory: git pull. If the vault "
            "file was changed by hand, run rotate_credentials.yml, which tries the new one first"
            % (credential["name"], written, credential["since"] or "an unknown day")
        )


def keep(credential, result, sealer):
    """Update one credential and note its digest. Return whether it differed."""
    changed = put(credential, result, sealer)
    if os.path.lexists(credential["path"]):
        result["digests"][credential["name"]] = digest(credential["path"])
    return changed


def put(credential, result, sealer):
    """Write or remove one credential if it differs. Return whether it did."""
    name, path = credential["name"], credential["path"]
    written = result["written"][name] = day(path)
    if credential["state"] == "absent":
        result["held"][name] = "other" if written else "nothing"
        return remove(credential, sealer.check)
    there, right = held(credential), wanted(credential)
    is_key = credential["generate"] == "ssh_key"
    public = public_key(there) if is_key and there is not None else None
    if there is None:
        result["held"][name] = "other" if written else "nothing"
    elif (right and there not in right) or (is_key and not public):
        result["held"][name] = "other"
    else:
        result["held"][name] = "accepted" if right and there != right[0] else "wanted"
    is_lost = bool(credential["generate"] and written and there is None)
    if is_lost:
        result["lost"].append(name)
        if not sealer.replace_lost:
            raise Lost(LOST % (path, LOSSES[credential["generate"]]))
    is_good = bool(credential["generate"]) or result["held"][name] in ("wanted", "accepted")
    is_good = is_good and there is not None
    if credential["newer_only"] and there is not None and not is_good:
        refuse_older(credential, written)
    changed = not (is_good and is_closed(path) and sealer.has_sealed(path))
    secret = there if is_good else (right[0] if right else None)
    if changed and credential["lock"] and (lock := held_lock(credential["lock"])):
        raise Held(credential["lock"], lock)
    if changed and not sealer.check:
        # The age of a secret is its own, not that of its seal.
        moment = os.lstat(path).st_mtime if is_good else timestamp(credential)
        secret = secret if secret is not None else new_secret(credential)
        if is_lost:
            set_aside(path)
        write(sealer.with_key, credential, secret, moment)
    if is_key and secret is not None and (public := public_key(secret)):
        result["public_keys"][name] = public
    return changed


def see_to(params, check):
    """Update all credentials under their lock. Return the module's result.

    If a credential cannot be updated, `msg` says why.
    """
    result = {name: {} for name in ("held", "written", "digests", "public_keys")}
    result |= {"changed_names": [], "lost": []}
    try:
        update(params, result, check)
    except Held as error:
        result |= {"msg": str(error), "lock": error.lock}
    except (Trouble, OSError) as error:
        result["msg"] = str(error)
    return {**result, "changed": bool(result["changed_names"])}


def update(params, result, check):
    """Update all credentials under their lock. Raise Trouble or OSError."""
    lock, holder, sealer, lost = params["lock"], params["holder"], Sealer(params, check), []
    paths = [lock, *(credential["lock"] for credential in params["credentials"])]
    with contextlib.ExitStack() as stack:
        for path in [path for path in paths if path][:1]:  # all locks are in one folder
            stack.enter_context(alone(path))
        if lock:
            take(lock, holder, check)
        for credential in params["credentials"]:
            if "digest" in (credential["source"] or {}):
                held_source(credential)  # fails before any change
        # In order, since a credential may be the source of a later one and be removed after it.
        for credential in params["credentials"]:
            try:
                if keep(credential, result, sealer):
                    result["changed_names"].append(credential["name"])
            except Lost as error:  # the others are mended
                lost.append(str(error))
        if lock and params["release"] and not check:
            os.unlink(lock)
    if lost:
        raise Lost("\n".join(lost))
