"""A package's zip, read where it lies: never unpacked to disk, nothing in it believed.

Names in an archive are the SIS's, so those that are not the format's own are never repeated.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable

from roster_upload.findings import Findings, spec

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1
# What operating systems leave in archives; receivers ignore it or stumble over it.
LITTER = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})

# Name of a member: the format's own name for it, "" where the format has none.
Recognise = Callable[[str], str]


class TooLarge(zipfile.BadZipFile):
    """An archive with more members than any package has."""


class Reader(io.BufferedReader):
    """A package's file; raises TooLarge where a long list of members would be read at once."""

    def read(self, size: int | None = -1) -> bytes:
        if (size or 0) > spec("limits")["directory_bytes"]:
            raise TooLarge
        return super().read(size)


def members(
    archive: zipfile.ZipFile, findings: Findings, recognise: Recognise
) -> dict[str, zipfile.ZipInfo]:
    """The members that a format knows, by its own name for each; findings for all else."""
    limits = spec("limits")
    found: dict[str, zipfile.ZipInfo] = {}
    if len(archive.infolist()) > limits["members"]:
        findings.add("package.too-large", "the package", detail="too many files in it")
        return found
    for info in archive.infolist():
        if info.filename.endswith("/"):  # `is_dir` stumbles over an empty name
            continue
        parts = re.split(r"[/\\]", info.filename)
        is_litter = not LITTER.isdisjoint(parts)
        name = "" if is_litter else recognise(parts[-1])
        told = name or "another file"
        if parts[0] == "" or ".." in parts or ":" in parts[0]:
            findings.add("package.path", told)
        elif is_litter:
            findings.add("package.litter", told)
        elif name and len(parts) > 1:
            findings.add("package.folder", told)
        elif name and name in found:
            findings.add("package.duplicate", told)
        elif name:
            found[name] = info
            if name != info.filename and name.lower() == info.filename.lower():
                findings.add("package.case", told)
        elif parts[-1].lower().endswith((".zip", ".7z", ".gz", ".rar")):
            findings.add("package.nested", told)
        else:
            findings.add("package.foreign", told)
        _look(info, told, findings)
    if sum(info.file_size for info in found.values()) > limits["total_bytes"]:
        findings.add("package.too-large", "the package")
    return found


def _look(info: zipfile.ZipInfo, name: str, findings: Findings) -> None:
    """What the archive's directory tells of a member."""
    limits = spec("limits")
    if info.flag_bits & ENCRYPTED:
        findings.add("package.encrypted", name)
    if info.compress_type not in METHODS:
        findings.add("package.compression", name)
    if (
        info.file_size > limits["member_bytes"]
        or info.file_size > max(info.compress_size, 4096) * limits["ratio"]
    ):
        findings.add("package.too-large", name)
