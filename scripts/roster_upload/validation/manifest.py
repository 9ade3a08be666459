"""Read the manifest of a OneRoster package: the announced files and their modes."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping

from roster_upload.spec import spec
from roster_upload.validation import text
from roster_upload.validation.archive import letters_of
from roster_upload.validation.csv_reader import CsvReader
from roster_upload.validation.findings import Findings
from roster_upload.validation.lines import Unreadable

MANIFEST = "manifest.csv"
HEADER = ["propertyName", "value"]


class Manifest:
    """The properties of a manifest. A misspelled one is reported once and read as intended."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.modes: dict[str, str] = {}  # file: `absent`, `bulk` or `delta`
        self.misread: set[str] = set()  # files whose mode is reported as wrong
        rules = spec("oneroster-1.1")
        self._files: list[str] = rules["data_files"]
        self._optional: list[str] = rules["manifest"]["optional"]
        self._allowed: dict[str, list[str]] = {
            name: [value] for name, value in rules["manifest"]["versions"].items()
        }
        modes = rules["manifest"]["modes"]
        self._allowed.update({f"file.{name}": modes for name in self._files})
        self._near: dict[str, str] = {
            letters_of(name): name for name in (*self._allowed, *self._optional)
        }

    def read(self, archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo]) -> None:
        """Read the manifest, and compare it with the members of the package."""
        try:
            given = self._properties(CsvReader(archive, members[MANIFEST], MANIFEST, self.findings))
        except Unreadable:
            return
        for name in self._allowed:
            if name not in given:
                self.findings.add("manifest.property", MANIFEST, name)
        for name in self._files:
            mode = given.get(f"file.{name}", "absent")
            is_there = f"{name}.csv" in members
            if name in self.misread and mode not in ("bulk", "delta"):
                mode = "bulk" if is_there else "absent"
            self.modes[name] = mode
            if mode != "absent" and not is_there:
                self.findings.add("manifest.not-delivered", f"{name}.csv")
            elif mode == "absent" and is_there and f"file.{name}" in given:
                self.findings.add("manifest.not-announced", f"{name}.csv")

    def _properties(self, rows: CsvReader) -> dict[str, str]:
        """Return the properties. Raise Unreadable if the file is not a manifest."""
        if rows.header and rows.header != HEADER:
            detail = f"expected: {', '.join(HEADER)}"
            pairs = zip(rows.header, HEADER, strict=False)
            detail += next((text.difference(*pair) for pair in pairs if pair[0] != pair[1]), "")
            self.findings.add("csv.header", MANIFEST, detail=detail, row=1)
            raise Unreadable
        given: dict[str, str] = {}
        for batch in rows:
            pairs = zip(batch.values(0), batch.values(1), strict=True)
            for number, (written, value) in enumerate(pairs, batch.first):
                name = self._name(written, number)
                if name in given:
                    self.findings.add("manifest.twice", MANIFEST, row=number)
                    self.misread.add(name.removeprefix("file."))
                    continue
                given[name] = self._value(name, value, number)
        return given

    def _name(self, written: str, row: int) -> str:
        """Return the property that a name means."""
        if written in self._allowed or written in self._optional:
            return written
        near = self._near.get(letters_of(written.removesuffix(".csv")))
        if near:
            detail = f"row {row} must be {near}"
            self.findings.add("manifest.name", MANIFEST, detail=detail, row=row)
            return near
        self.findings.add("manifest.unknown", MANIFEST, row=row)
        return written

    def _value(self, name: str, value: str, row: int) -> str:
        """Return the intended value. Report a value that is not allowed."""
        allowed = self._allowed.get(name)
        if allowed is None or value in allowed:
            return value
        detail = f"allowed: {', '.join(allowed)}"
        meant = text.seen(value).lower()
        if meant in allowed:
            detail += text.difference(value, meant)
        self.findings.add("manifest.value", MANIFEST, name, detail=detail, row=row)
        self.misread.add(name.removeprefix("file."))
        return meant
