"""The files of an export by the format's own names, found under wrong names by repairs."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from roster_upload.host.memory import most_unpacked
from roster_upload.package.repairs import Repairs
from roster_upload.package.rows import Table
from roster_upload.spec import spec
from roster_upload.validation.archive import LITTER
from roster_upload.validation.blocks import UNPACKING_ERRORS, pieces
from roster_upload.validation.zip_package import ENCRYPTED, METHODS, ZipPackage

MANIFEST = "manifest"
MANIFEST_COLUMNS = [{"name": "propertyName"}, {"name": "value"}]


class Unusable(Exception):
    """An unreadable export. Validation reports what is wrong with it."""


class Source:
    """An opened export.

    files   its files by the format's names, without `.csv`
    others  all other members
    modes   file: its mode in the manifest
    """

    def __init__(self, path: Path, repairs: Collection[str] = ()) -> None:
        """Open the export. Raise Unusable, or OSError if the file cannot be read."""
        self.repairs = frozenset(repairs)
        self.counts: Counter[str] = Counter()  # of repaired names
        self.others: list[zipfile.ZipInfo] = []
        self.modes: dict[str, str] = {}
        try:
            self.archive = ZipPackage(path)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError):
            raise Unusable from None
        try:
            self._refuse_unfit()
        except BaseException:
            self.close()
            raise
        self.files = self._find_files()

    def __enter__(self) -> Source:
        try:
            self.modes = self._read_modes()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the export."""
        self.archive.close()

    def _refuse_unfit(self) -> None:
        """Raise Unusable for members that must not be unpacked."""
        limits = spec("limits")
        members = self.archive.infolist()
        if len(members) > limits["members"]:
            raise Unusable
        for info in members:
            largest = min(limits["member_bytes"], max(info.compress_size, 4096) * limits["ratio"])
            if (
                info.flag_bits & ENCRYPTED
                or info.compress_type not in METHODS
                or info.file_size > largest
            ):
                raise Unusable
        if sum(info.file_size for info in members) > most_unpacked():
            raise Unusable

    # ---- names ----------------------------------------------------------------------------------

    def _find_files(self) -> dict[str, zipfile.ZipInfo]:
        """Return the files. Right names take precedence over those that a repair finds."""
        members = [info for info in self.archive.infolist() if not info.filename.endswith("/")]
        known = [MANIFEST, *spec("oneroster-1.1")["data_files"]]
        exact = {f"{name}.csv": name for name in known}
        files: dict[str, zipfile.ZipInfo] = {}
        for info in members:
            if info.filename in exact and exact[info.filename] not in files:
                files[exact[info.filename]] = info
        left = [info for info in members if info not in files.values()]
        folders = {_folder(info) for info in left if near_name(info.filename)}
        for info in left:
            name = near_name(info.filename)
            needed = self._repairs_needed(info, folders)
            if name and name not in files and needed is not None and needed <= self.repairs:
                files[name] = info
                self.counts.update(needed)
            else:
                self.others.append(info)
        return {name: files[name] for name in known if name in files}

    def _repairs_needed(self, info: zipfile.ZipInfo, folders: Collection[str]) -> set[str] | None:
        """Return the repairs that a member's name needs, None if it cannot be repaired."""
        needed = set()
        folder = _folder(info)
        if folder or "/" in info.filename or "\\" in info.filename:
            parts = re.split(r"[/\\]", info.filename)
            if parts[0] == "" or ".." in parts or ":" in parts[0] or len(folders) > 1:
                return None
            needed.add("folder")
        if re.split(r"[/\\]", info.filename)[-1] != f"{near_name(info.filename)}.csv":
            needed.add("file-names")
        return needed

    # ---- contents -------------------------------------------------------------------------------

    def columns(self, name: str) -> list[Any]:
        """Return the format's columns of a file."""
        if name == MANIFEST:
            return MANIFEST_COLUMNS
        columns: list[Any] = spec("oneroster-1.1")["files"][name]["columns"]
        return columns

    def table(self, name: str, repairs: Repairs) -> Table:
        """Return a file, to be read once. Raise Unusable if it cannot be unpacked."""
        chunks = repairs.chunks(self.chunks(self.files[name]))
        names = [column["name"] for column in self.columns(name)]
        return Table(chunks, names, mends_line_ends="line-ends" in repairs.names)

    def chunks(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        """Yield a member's bytes. Raise Unusable if it cannot be unpacked."""
        try:
            yield from pieces(self.archive.open(info))
        except UNPACKING_ERRORS:
            raise Unusable from None

    def _read_modes(self) -> dict[str, str]:
        if MANIFEST not in self.files:
            return {}
        repairs = Repairs(self.repairs)
        table = self.table(MANIFEST, repairs)
        repair = repairs.of_columns(MANIFEST_COLUMNS, is_bulk=False)
        modes = {}
        for part in table:
            repaired, _ = repair(part)
            if repaired.has_rows:
                names, values = repaired.column(0), repaired.column(1)
                for row in range(repaired.count):
                    name = names.value(row).decode("utf-8", "replace")
                    modes[name.removeprefix("file.")] = values.value(row).decode("utf-8", "replace")
        return modes

    def is_bulk(self, name: str) -> bool:
        """Return whether a file holds all existing records."""
        return self.modes.get(name) == "bulk"

    def is_stray(self, info: zipfile.ZipInfo) -> bool:
        """Return whether one of the other members may be a file of the roster, wrongly named."""
        return bool(near_name(info.filename))


def near_name(path: str) -> str:
    """Return the format's name of a file, ignoring case, blanks and punctuation, or ""."""
    parts = re.split(r"[/\\]", path)
    return "" if not LITTER.isdisjoint(parts) else _near_names().get(_letters(parts[-1]), "")


def _near_names() -> dict[str, str]:
    names = [MANIFEST, *spec("oneroster-1.1")["data_files"]]
    return {_letters(f"{name}.csv"): name for name in names}


def _letters(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())


def _folder(info: zipfile.ZipInfo) -> str:
    """Return the folder of a member, "" for the archive's root."""
    parts = re.split(r"[/\\]", info.filename)[:-1]
    return "/".join(part for part in parts if part != ".")
