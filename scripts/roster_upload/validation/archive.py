"""A package's zip, read where it lies: never unpacked to disk, nothing in it believed.

Names in an archive are the SIS's, so those that are not the format's own are never repeated.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from roster_upload.host.memory import most_unpacked
from roster_upload.spec import spec
from roster_upload.validation.findings import Findings
from roster_upload.validation.zip_layout import SIZE_BEHIND, Ambiguous
from roster_upload.validation.zip_package import ENCRYPTED, METHODS, ZipPackage

# What operating systems leave in archives; receivers ignore it or stumble over it.
LITTER = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})

BLOCK_BYTES = 1 << 20
ALIKE = 0.85  # how much of two names is the same where one may stand for the other

# Name of a member: the format's own name for it, "" where the format has none, and whether it is
# spelled as the format spells it, but for capitals.
Recognise = Callable[[str], tuple[str, bool]]


def letters_of(name: str) -> str:
    """Return the letters and digits of a name, by which misspelt names are alike."""
    return "".join(filter(str.isalnum, name)).lower()


class FileNames:
    """The names of a format's files, also as people misspell them."""

    def __init__(self, known: Sequence[str]) -> None:
        self._exact = {name.lower(): name for name in known}
        self._near = {letters_of(name): name for name in known}

    def __call__(self, name: str) -> tuple[str, bool]:
        """Return what a name means, and whether it is spelled so."""
        exact = self._exact.get(name.lower(), "")
        return exact or self._near.get(letters_of(name), ""), bool(exact)

    def like(self, name: str) -> str:
        """Return the name that another one may stand for, "" where there is none."""
        stem = letters_of(re.sub(r"(\.(csv|txt))+$", "", name.lower()))
        near = {letters.removesuffix("csv"): known for letters, known in self._near.items()}
        found = difflib.get_close_matches(stem, near, 1, ALIKE)
        return near[found[0]] if found else ""


def content_digest(path: Path) -> str:
    """Return the digest of the contents of a zip, "" where there is no package in it."""
    try:
        with ZipPackage(path) as package:
            return digest_of(package)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
        return ""


def digest_of(package: zipfile.ZipFile) -> str:
    """Return a digest of the files in a zip, whatever their time stamps and order.

    It is made of their names, sizes and CRC-32 as the archive's list has them.
    """
    entries = sorted((info.filename, info.file_size, info.CRC) for info in package.infolist())
    return hashlib.sha256(repr(entries).encode("utf-8", "surrogatepass")).hexdigest()


def read_rest(package: ZipPackage, findings: Findings) -> None:
    """Read the members that no rule has looked into. They may hide others, too."""
    for info in package.unread():
        try:
            with package.open(info) as member:
                while member.read(BLOCK_BYTES):
                    pass
        except Ambiguous as error:
            findings.add("package.ambiguous", "another file", detail=str(error))
        except (zipfile.BadZipFile, zlib.error, NotImplementedError):
            findings.add("package.damaged", "another file")


def members(
    archive: zipfile.ZipFile,
    findings: Findings,
    recognise: Recognise,
    like: Callable[[str], str] = lambda _name: "",
) -> dict[str, zipfile.ZipInfo]:
    """Return the members that a format knows, by its own name for each; findings for all else.

    `like` is asked for the name that an unknown one may stand for.
    """
    limits = spec("limits")
    found: dict[str, zipfile.ZipInfo] = {}
    if len(archive.infolist()) > limits["members"]:
        findings.add("package.too-large", "the package", detail="too many files in it")
        return found
    for info in archive.infolist():
        if info.filename.endswith("/"):  # `is_dir` stumbles over an empty name
            continue
        told = _place(info, findings, recognise, like, found)
        _look(info, told, findings)
    if sum(info.file_size for info in archive.infolist()) > most_unpacked():
        findings.add("package.too-large", "the package")
    return found


def _place(
    info: zipfile.ZipInfo,
    findings: Findings,
    recognise: Recognise,
    like: Callable[[str], str],
    found: dict[str, zipfile.ZipInfo],
) -> str:
    """Put a member to those that were found, or tell why not. Return what it may be called."""
    parts = re.split(r"[/\\]", info.filename)
    is_litter = not LITTER.isdisjoint(parts)
    name, is_exact = ("", False) if is_litter else recognise(parts[-1])
    told = name or "another file"
    if parts[0] == "" or ".." in parts or ":" in parts[0]:
        findings.add("package.path", told)
    elif is_litter:
        findings.add("package.litter", told)
    elif name and set(parts[:-1]) == {"."}:
        findings.add("package.dot-slash", told)
    elif name and len(parts) > 1:
        findings.add("package.folder", told)
    elif name and name in found:
        findings.add("package.duplicate", told)
    elif name and not is_exact:
        findings.add("package.misnamed", told, detail=f"it is named {_shown(parts[-1])}")
    elif name:
        found[name] = info
        if name != info.filename and name.lower() == info.filename.lower():
            findings.add("package.case", told)
    elif parts[-1].lower().endswith((".zip", ".7z", ".gz", ".rar")):
        findings.add("package.nested", told)
    else:
        near = like(parts[-1])
        findings.add("package.foreign", told, detail=near and f"is {near} meant?")
    return told


def _shown(name: str) -> str:
    """Return a misspelt name as it may be told: its letters are those of the format's name."""
    return re.sub(r"[^A-Za-z0-9._ -]", "?", name)


def _look(info: zipfile.ZipInfo, name: str, findings: Findings) -> None:
    """What the archive's directory tells of a member."""
    limits = spec("limits")
    if info.flag_bits & ENCRYPTED:
        findings.add("package.encrypted", name)
    if info.compress_type not in METHODS:
        findings.add("package.compression", name)
    if info.compress_type == zipfile.ZIP_STORED and info.flag_bits & SIZE_BEHIND:
        findings.add("package.streaming", name)
    if (
        info.file_size > limits["member_bytes"]
        or info.file_size > max(info.compress_size, 4096) * limits["ratio"]
    ):
        findings.add("package.too-large", name)
