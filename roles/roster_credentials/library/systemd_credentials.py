#!/usr/bin/python3
"""Ansible module: keep secrets on a host as systemd credentials, encrypted at rest."""

from __future__ import annotations

DOCUMENTATION = r"""
module: systemd_credentials
short_description: Keep secrets on a host as systemd credentials, encrypted at rest
description:
  - Encrypts each secret with C(systemd-creds), so that only the host that holds the key, and there
    only a unit that loads it by the same name, can read it.
  - An encrypted file differs every time it is made. So the present one is decrypted and compared,
    and written anew only where the secret, its name or the host's key has changed.
  - Secrets reach C(systemd-creds) by standard input; they are never an argument, an environment
    variable, a file in the clear or a part of the result.
options:
  credentials:
    description: The credentials to keep.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The credential's name, which is authenticated with the secret.
        type: str
        required: true
      path:
        description: Absolute path of the encrypted file.
        type: path
        required: true
      secret:
        description: The secret, kept to the byte (UTF-8).
        type: str
        no_log: true
      accept:
        description: Other secrets with which a present credential stays as it is.
        type: list
        elements: str
        no_log: true
        default: []
      since:
        description:
          - The day (C(YYYY-MM-DD)) since which O(credentials[].secret) is in use. A file that is
            written gets it as its time of modification, so that its age survives a new host.
        type: str
        default: ""
      newer_only:
        description:
          - Whether a present secret that is another is overwritten only where
            O(credentials[].since) says that this one came later; whoever gives an older one does
            not know of the other.
        type: bool
        default: false
      generate:
        description:
          - Instead of O(credentials[].secret), what the host makes for itself where nothing is
            there, random C(bytes) or an C(ssh_key). What is there and cannot be decrypted is never
            replaced, and a password in the place of a key stays.
        type: str
        choices: [bytes, ssh_key]
      source:
        description:
          - The credential on the same host, by C(name) and C(path), whose secret this one is to
            hold.
          - With C(digest), the encrypted file must be the very one that RV(digests) has named.
          - With O(credentials[].secret), it must hold that secret.
        type: dict
      lock:
        description:
          - The lock of the rotation to which the credential belongs. While somebody holds it, the
            credential is not changed. Whoever rotates gives O(lock) and O(holder) instead.
        type: path
      state:
        description: Whether it is to be there.
        type: str
        choices: [present, absent]
        default: present
  with_key:
    description: What to encrypt with, as C(systemd-creds --with-key) takes it.
    type: str
    choices: [auto, host, tpm2, host+tpm2]
    default: auto
  lock:
    description:
      - A lock file, which is taken for O(holder) before anything is done. It ends by itself a
        quarter of an hour after the last call, and with a restart of the host.
    type: path
  holder:
    description:
      - Who takes O(lock) - C(token), which is the same in all calls of one run, C(who), a name for
        others to read, and C(gone), the token of a run that has ended without giving it back.
    type: dict
  release:
    description: Whether O(lock) is given back at the end.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: The Roster Delivery authors
"""

EXAMPLES = r"""
- name: Keep a feed's password
  systemd_credentials:
    credentials:
      - name: alder_current
        path: /etc/roster-upload/credentials/alder/current
        secret: "{{ vault_password }}"
  no_log: true
"""

RETURN = r"""
changed_names:
  description: The names of the credentials that were, or in check mode would be, written.
  type: list
  elements: str
  returned: always, also with a failure
held:
  description:
    - By name, what was there before - C(wanted), C(accepted), C(other), which also stands for what
      cannot be decrypted, or C(nothing).
  type: dict
  returned: always
written:
  description: By name, the day (C(YYYY-MM-DD)) of what was there before.
  type: dict
  returned: always
digests:
  description: By name, the SHA-256 of the encrypted file. It differs with every writing.
  type: dict
  returned: always
lock:
  description: Who holds the lock - C(token), C(who), C(since).
  type: dict
  returned: when somebody else holds it
public_keys:
  description: By name, the public keys of the SSH keys that the host has made.
  type: dict
  returned: always
"""

import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import stat
import subprocess
import time

from ansible.module_utils.basic import AnsibleModule

MODE = 0o600
KEY_BYTES = 32
LOCK_SECONDS = 900  # a login, the longest step, takes a few minutes at most


class Trouble(Exception):
    """Why a credential is as it was; the text says what to do, and nothing secret."""


class Held(Trouble):
    """Somebody else rotates."""

    def __init__(self, path, lock):
        super().__init__(
            "%s is being rotated by %s, since %s; run the same again once that is done. The lock "
            "of a run that was cut off ends by itself after %d minutes"
            % (os.path.basename(path), lock["who"], lock["since"], LOCK_SECONDS // 60)
        )
        self.lock = {key: lock[key] for key in ("token", "who", "since")}


def seconds():
    """Return the seconds since the host was started, which no change of its clock moves."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def held_lock(path):
    """Return the lock that somebody holds; None where nobody does. Raise Trouble."""
    try:
        with open(path, encoding="utf-8") as file:
            lock = json.load(file)
        return lock if seconds() < lock["until"] else None
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise Trouble("the lock %s is damaged; remove it once nobody rotates" % path) from None


def take(path, holder, check):
    """Take a lock, or hold it for longer. Raise Held where somebody else has it."""
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
    """Keep other calls from the locks of a folder, and from what they lock, during the block."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def systemd_creds(arguments, given=b""):
    """Runs systemd-creds; returns (exit code, standard output, standard error) as int and bytes."""
    # Not module.run_command: that decodes, and a secret need not be decodable text.
    done = subprocess.run(
        ["systemd-creds", *arguments], input=given, capture_output=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def held(credential):
    """The secret that a credential's file holds under its name; None where there is none."""
    if not os.path.lexists(credential["path"]):
        return None
    code, secret, _ = systemd_creds(
        ["decrypt", "--name=" + credential["name"], credential["path"], "-"]
    )
    return secret if code == 0 else None


def digest(path):
    """Return the SHA-256 of an encrypted file."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def held_source(credential):
    """Return the secret of another credential, which must be what was tried. Raise Trouble."""
    source = credential["source"]
    secret = held(source)
    if secret is None:
        raise Trouble(
            "there is no credential %(name)s that this host can read in %(path)s" % source
        )
    # After the reading: a file that was replaced before it has another digest, too.
    if "digest" in source and digest(source["path"]) != source["digest"]:
        raise Trouble(
            "%(name)s is not what was tried: something else was put there meanwhile" % source
        )
    if credential["secret"] is not None and secret != credential["secret"].encode("utf-8"):
        raise Trouble("%(name)s is not what the vault file has now" % source)
    return secret


def is_closed(path):
    """Whether a file is for root alone."""
    now = os.lstat(path)
    return stat.S_ISREG(now.st_mode) and stat.S_IMODE(now.st_mode) == MODE and now.st_uid == 0


def day(path):
    """The day of a file's modification in UTC, as `since` has it; empty where there is none."""
    if not os.path.lexists(path):
        return ""
    written = datetime.datetime.fromtimestamp(os.lstat(path).st_mtime, datetime.UTC)
    return written.strftime("%Y-%m-%d")


def wanted(credential):
    """The secrets that are right, the one to write first; none where any present one is."""
    if credential["source"]:
        return [held_source(credential)]
    if credential["secret"] is not None:
        return [text.encode("utf-8") for text in [credential["secret"], *credential["accept"]]]
    return []


def new_secret(credential):
    """What the host makes for itself."""
    if credential["generate"] == "bytes":
        return os.urandom(KEY_BYTES)
    # In memory, where ssh-keygen would need a file. It comes with python3-paramiko.
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415

    return ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )


def public_key(secret):
    """The public part of an OpenSSH private key, as authorized_keys has it; None of other text."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    try:
        key = serialization.load_ssh_private_key(secret, None).public_key()
    except ValueError:
        return None
    return key.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    ).decode()


def timestamp(credential):
    """The seconds of the epoch at which the day began; None where none is given."""
    if not credential["since"]:
        return None
    try:
        moment = datetime.datetime.strptime(credential["since"] + " +0000", "%Y-%m-%d %z")
    except ValueError:
        raise Trouble(
            "%(name)s: since is %(since)s, which is no day like 2026-08-31" % credential
        ) from None
    return moment.timestamp()


def lasting(path):
    """Has what a folder names outlive a power cut."""
    handle = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(with_key, credential, secret):
    """Replaces a credential's file as a whole."""
    since = timestamp(credential)
    name, path = credential["name"], credential["path"]
    code, sealed, error = systemd_creds(
        ["encrypt", "--name=" + name, "--with-key=" + with_key, "-", "-"], secret
    )
    if code != 0:
        told = error.decode("utf-8", "replace").strip()
        raise Trouble("systemd-creds could not encrypt the credential %s: %s" % (name, told))
    folder, base = os.path.split(path)
    if not os.path.isdir(folder):
        raise Trouble("there is no directory %s for the credential" % folder)
    # Hidden: systemd, which loads the whole folder, passes over one that a cut has left.
    waiting = os.path.join(folder, ".%s.new" % base)
    with open(os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE), "wb") as new:
        os.fchmod(new.fileno(), MODE)
        new.write(sealed)
        new.flush()
        os.fsync(new.fileno())
    if since is not None:
        os.utime(waiting, (since, since))
    os.replace(waiting, path)
    lasting(path)


def remove(credential, check):
    """Takes a credential away; returns whether there was, or in check mode is, one."""
    if not os.path.lexists(credential["path"]):
        return False
    if not check:
        os.unlink(credential["path"])
        lasting(credential["path"])
    return True


def refuse_older(credential, written):
    """Raises Trouble unless a credential came later than what is in its place.

    What a rotation has put there bears the time of day, what a vault file has brought only the day.
    """
    since = timestamp(credential)
    if since is None or os.lstat(credential["path"]).st_mtime > since:
        raise Trouble(
            "%s: this host holds another credential, of %s, than the vault file, which has one of "
            "%s. Either somebody has rotated it and this copy of the inventory does not know: git "
            "pull. Or the vault file was changed by hand: bring that one in with "
            "rotate_credentials.yml, which tries it before"
            % (credential["name"], written, credential["since"] or "a day that it does not say")
        )


def keep(credential, result, with_key, check):
    """Sees to one credential; returns whether it was, or in check mode would be, changed."""
    changed = put(credential, result, with_key, check)
    if os.path.lexists(credential["path"]):
        result["digests"][credential["name"]] = digest(credential["path"])
    return changed


def put(credential, result, with_key, check):
    """Write or remove one credential where it differs. Return whether it does."""
    name, path = credential["name"], credential["path"]
    written = result["written"][name] = day(path)
    if credential["state"] == "absent":
        result["held"][name] = "other" if written else "nothing"
        return remove(credential, check)
    there, right = held(credential), wanted(credential)
    is_key = credential["generate"] == "ssh_key"
    public = public_key(there) if is_key and there is not None else None
    if there is None:
        result["held"][name] = "other" if written else "nothing"
    elif (right and there not in right) or (is_key and not public):
        result["held"][name] = "other"
    else:
        result["held"][name] = "accepted" if right and there != right[0] else "wanted"
    if credential["generate"] and written and there is None:
        raise Trouble(
            "%s cannot be read by this host any more, as after a change of its TPM or of "
            "/var/lib/systemd/credential.secret; put that back, or remove the file, and this host "
            "makes itself a new one" % path
        )
    is_good = bool(credential["generate"]) or result["held"][name] in ("wanted", "accepted")
    is_good = is_good and there is not None
    if credential["newer_only"] and there is not None and not is_good:
        refuse_older(credential, written)
    changed = not (is_good and is_closed(path))
    secret = there if is_good else (right[0] if right else None)
    if changed and credential["lock"] and (lock := held_lock(credential["lock"])):
        raise Held(credential["lock"], lock)
    if changed and not check:
        secret = secret if secret is not None else new_secret(credential)
        write(with_key, credential, secret)
    if is_key and secret is not None and (public := public_key(secret)):
        result["public_keys"][name] = public
    return changed


def main():
    module = AnsibleModule(
        argument_spec={
            "credentials": {
                "type": "list",
                "elements": "dict",
                "required": True,
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
            },
            "lock": {"type": "path"},
            "holder": {"type": "dict"},
            "release": {"type": "bool", "default": False},
            "with_key": {
                "type": "str",
                "choices": ["auto", "host", "tpm2", "host+tpm2"],
                "default": "auto",
            },
        },
        required_together=[["lock", "holder"]],
        supports_check_mode=True,
    )
    result = {name: {} for name in ("held", "written", "digests", "public_keys")}
    result["changed_names"] = []
    try:
        see_to(module.params, result, module.check_mode)
    except Held as error:
        module.fail_json(
            msg=str(error), changed=bool(result["changed_names"]), lock=error.lock, **result
        )
    except (Trouble, OSError) as error:
        module.fail_json(msg=str(error), changed=bool(result["changed_names"]), **result)
    module.exit_json(changed=bool(result["changed_names"]), **result)


def see_to(params, result, check):
    """See to all credentials, under the lock that they need. Raise Trouble or OSError."""
    lock, holder = params["lock"], params["holder"]
    paths = [lock, *(credential["lock"] for credential in params["credentials"])]
    with contextlib.ExitStack() as stack:
        for path in [path for path in paths if path][:1]:  # all locks are in one folder
            stack.enter_context(alone(path))
        if lock:
            take(lock, holder, check)
        for credential in params["credentials"]:
            if "digest" in (credential["source"] or {}):
                held_source(credential)  # before the first is changed
        # In order: a credential may be the source of a later one, and gone after that.
        for credential in params["credentials"]:
            if keep(credential, result, params["with_key"], check):
                result["changed_names"].append(credential["name"])
        if lock and params["release"] and not check:
            os.unlink(lock)


if __name__ == "__main__":
    main()
