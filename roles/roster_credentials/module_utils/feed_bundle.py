"""Pack a feed's state into one stream, and unpack one that may come from a compromised host.

The first line is JSON. It names each part of the state and each secret that the host uses, with
its size and SHA-256. Their bytes follow in this order. So there is no header to misread, and no
path or mode of the old host counts.
"""

from __future__ import annotations

import collections
import hashlib
import json
import os
import re
import stat

SCHEMA = 1
MOST_ABOUT = 1 << 20  # bytes of the first line
MOST_BYTES = 8 << 30  # of a whole bundle
BLOCK = 1 << 20

Kind = collections.namedtuple("Kind", "name mode most")
# All files of a feed's state that another host needs, with their modes and sizes at most.
STATE = (
    Kind(r"receipts\.jsonl", 0o640, 256 << 20),
    Kind(r"delivered\.json", 0o600, 1 << 16),
    Kind(r"server\.json", 0o640, 1 << 20),
    Kind(r"accepted-[0-9a-f]{16}\.npz", 0o600, 1 << 30),
    Kind(r"packages/[0-9]{8}T[0-9]{12}Z-[0-9a-f]{64}\.package", 0o600, 2 << 30),
)
# The secrets that a host may have generated, and those that it uses in the place of them.
SLOTS = ("state", "current", "source_current")
SECRETS = (Kind("(" + "|".join(SLOTS) + ")", 0o600, 1 << 16),)
FOLDERS = {"state": STATE, "secrets": SECRETS}


class BundleError(Exception):
    """The reason why a bundle is refused, or why a state cannot be packed."""


def kind_of(member):
    """Return the kind of a member, such as `state/receipts.jsonl`. Raise BundleError."""
    folder, _, name = member.partition("/")
    for kind in FOLDERS.get(folder, ()):
        if re.fullmatch(kind.name, name):
            return kind
    raise BundleError("the bundle has a file %r, which is no part of a feed's state" % member[:80])


# ---- the state on the old host -------------------------------------------------------------------


def open_plain(name, folder, owner):
    """Open a plain file of `owner` in a folder's descriptor. Raise OSError or BundleError.

    The feed's account owns the folder, and may have put a link or a pipe there.
    """
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != owner:
        os.close(handle)
        raise BundleError("%s in the feed's state is not a plain file of its account" % name)
    return os.fdopen(handle, "rb")


def state_names(folder):
    """Return the names of a state's files, given the folder's descriptor. Raise OSError."""
    found = [name for name in os.listdir(folder) if _is_state(name)]
    try:
        packages = os.open("packages", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    except FileNotFoundError:
        return sorted(found)
    try:
        names = ["packages/" + name for name in os.listdir(packages)]
    finally:
        os.close(packages)
    return sorted(found + [name for name in names if _is_state(name)])


def _is_state(name):
    return any(re.fullmatch(kind.name, name) for kind in STATE)


def listed(folder, owner):
    """Return `{size, sha256}` of each file of a state, by its member's name."""
    found = {}
    for name in state_names(folder):
        with open_plain(name, folder, owner) as file:
            digest, size = hashlib.sha256(), 0
            while block := file.read(BLOCK):
                digest.update(block)
                size += len(block)
        if size > kind_of("state/" + name).most:
            raise BundleError("%s is too large to be moved (%d bytes)" % (name, size))
        found["state/" + name] = {"size": size, "sha256": digest.hexdigest()}
    return found


def snapshot(files):
    """Return the SHA-256 of a listing. It changes with each run of the feed."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def pack(out, about, folder, owner, secrets):
    """Write a bundle. `about` is that of `describe`, `secrets` has bytes by slot."""
    out.write(json.dumps(about).encode() + b"\n")
    for member in about["files"]:
        top, _, name = member.partition("/")
        if top == "secrets":
            out.write(secrets[name])
            continue
        with open_plain(name, folder, owner) as file:
            while block := file.read(BLOCK):
                out.write(block)


def describe(feed, origin, files, secrets):
    """Return the first line's values of a bundle. `secrets` has bytes and the time, by slot."""
    own = {
        "secrets/" + slot: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for slot, (data, _) in sorted(secrets.items())
    }
    times = {slot: written for slot, (_, written) in secrets.items()}
    return {
        "schema": SCHEMA,
        "feed": feed,
        "from": origin,
        "files": {**files, **own},
        "written": times,
    }


# ---- the bundle on the new host ------------------------------------------------------------------


def unpack(source, target, feed):
    """Write a bundle's state below `target`, an empty folder of root. Raise BundleError.

    Return the first line's values, and the secrets (bytes) by slot.
    """
    about, secrets = _about(source.readline(MOST_ABOUT), feed), {}
    for member, known in about["files"].items():
        top, _, name = member.partition("/")
        blocks = _blocks(source, member, known)
        if top == "secrets":
            secrets[name] = b"".join(blocks)
        else:
            _write(os.path.join(target, name), blocks, member)
    if source.read(1):
        raise BundleError("the bundle has more than it lists")
    return about, secrets


def _about(line, feed):
    """Return the checked values of a bundle's first line. Raise BundleError."""
    try:
        about = json.loads(line)
        files, written = about["files"], about["written"]
        is_right = (about["schema"], about["feed"]) == (SCHEMA, feed)
        sizes = [_size(name, one) for name, one in files.items()]
        times = [float(written[name]) for name in files_of(files, "secrets")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BundleError("the bundle's first line cannot be read") from None
    if not is_right:
        raise BundleError("the bundle is of another feed or of another release")
    if sum(sizes) > MOST_BYTES or not all(0 <= time < 1 << 40 for time in times):
        raise BundleError("the bundle's first line has impossible values")
    return about


def files_of(files, folder):
    """Return the names of a bundle's files in a folder, without that folder."""
    tops = (name.partition("/") for name in files)
    return [name for top, _, name in tops if top == folder]


def _size(name, one):
    """Return the size that a bundle gives for a file. Raise BundleError, or as a table does."""
    kind, size = kind_of(name), one["size"]
    if type(size) is not int or not 0 <= size <= kind.most:
        raise BundleError("%s in the bundle is too large" % name)
    if not re.fullmatch("[0-9a-f]{64}", one["sha256"]):
        raise ValueError
    return size


def _blocks(source, member, known):
    """Yield the blocks of a member, and compare their size and digest. Raise BundleError."""
    digest, left = hashlib.sha256(), known["size"]
    while left and (block := source.read(min(BLOCK, left))):
        digest.update(block)
        left -= len(block)
        yield block
    if left or digest.hexdigest() != known["sha256"]:
        raise BundleError("%s has another content than the bundle lists" % member)


def _write(path, blocks, member):
    """Write a file of the state that never existed before, with the mode of its kind."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(handle, "wb") as out:
        os.fchmod(out.fileno(), kind_of(member).mode)
        for block in blocks:
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
