"""Find a format's files in a package's zip, without unpacking it to disk.

Names in an archive may hold personal data. Names that are not the format's own are never repeated.
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

# What operating systems leave in archives. Receivers ignore it or fail on it.
LITTER = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})

BLOCK_BYTES = 1 << 20
ALIKE = 0.85  # similarity from which one name may be a misspelling of the other

# For the name of a member: the format's own name for it, "" if it has none, and whether the
# spelling is the same (case-insensitive).
Recognise = Callable[[str], tuple[str, bool]]


def letters_of(name: str) -> str:
    """Return the letters and digits of a name, in which misspelled names agree."""
    return "".join(filter(str.isalnum, name)).lower()


class FileNames:
    """The names of a format's files, including misspelled ones."""

    def __init__(self, known: Sequence[str]) -> None:
        self._exact = {name.lower(): name for name in known}
        self._near = {letters_of(name): name for name in known}

    def __call__(self, name: str) -> tuple[str, bool]:
        """Return the format's name for a name, and whether the spelling is exact."""
        exact = self._exact.get(name.lower(), "")
        return exact or self._near.get(letters_of(name), ""), bool(exact)

    def like(self, name: str) -> str:
        """Return the name that another one resembles, "" if there is none."""
        stem = letters_of(re.sub(r"(\.(csv|txt))+$", "", name.lower()))
        near = {letters.removesuffix("csv"): known for letters, known in self._near.items()}
        found = difflib.get_close_matches(stem, near, 1, ALIKE)
        return near[found[0]] if found else ""


def content_digest(path: Path) -> str:
    """Return the digest of the contents of a zip, "" if it is not a package."""
    try:
        with ZipPackage(path) as package:
            return digest_of(package)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
        return ""


def digest_of(package: zipfile.ZipFile) -> str:
    """Return a digest of the files in a zip, independent of their time stamps and order.

    It covers their names, sizes and CRC-32 from the archive's directory.
    """
    entries = sorted((info.filename, info.file_size, info.CRC) for info in package.infolist())
    return hashlib.sha256(repr(entries).encode("utf-8", "surrogatepass")).hexdigest()


def read_rest(package: ZipPackage, findings: Findings) -> None:
    """Read the members that no rule has checked. They may hide other files."""
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
    """Return the members that a format knows, by its own name for each. Report all others.

    `like` returns the known name that an unknown one resembles.
    """
    limits = spec("limits")
    found: dict[str, zipfile.ZipInfo] = {}
    if len(archive.infolist()) > limits["members"]:
        findings.add("package.too-large", "the package", detail="too many files in it")
        return found
    for info in archive.infolist():
        if info.filename.endswith("/"):  # `is_dir` fails on an empty name
            continue
        label = _sort_in(info, findings, recognise, like, found)
        _check_directory_entry(info, label, findings)
    if sum(info.file_size for info in archive.infolist()) > most_unpacked():
        findings.add("package.too-large", "the package")
    return found


def _sort_in(
    info: zipfile.ZipInfo,
    findings: Findings,
    recognise: Recognise,
    like: Callable[[str], str],
    found: dict[str, zipfile.ZipInfo],
) -> str:
    """Add a member to those found, or report the reason against it. Return its name for reports."""
    parts = re.split(r"[/\\]", info.filename)
    is_litter = not LITTER.isdisjoint(parts)
    name, is_exact = ("", False) if is_litter else recognise(parts[-1])
    label = name or "another file"
    if parts[0] == "" or ".." in parts or ":" in parts[0]:
        findings.add("package.path", label)
    elif is_litter:
        findings.add("package.litter", label)
    elif name and set(parts[:-1]) == {"."}:
        findings.add("package.dot-slash", label)
    elif name and len(parts) > 1:
        findings.add("package.folder", label)
    elif name and name in found:
        findings.add("package.duplicate", label)
    elif name and not is_exact:
        findings.add("package.misnamed", label, detail=f"it is named {_shown(parts[-1])}")
    elif name:
        found[name] = info
        if name != info.filename and name.lower() == info.filename.lower():
            findings.add("package.case", label)
    elif parts[-1].lower().endswith((".zip", ".7z", ".gz", ".rar")):
        findings.add("package.nested", label)
    else:
        near = like(parts[-1])
        findings.add("package.foreign", label, detail=near and f"is {near} meant?")
    return label


def _shown(name: str) -> str:
    """Return a misspelled name for a report. Its letters are those of the format's name."""
    return re.sub(r"[^A-Za-z0-9._ -]", "?", name)


def _check_directory_entry(info: zipfile.ZipInfo, name: str, findings: Findings) -> None:
    """Report faults of a member's entry in the archive's directory."""
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
