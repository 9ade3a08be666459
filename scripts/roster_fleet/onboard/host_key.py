"""A server's host key: read from the server, shown by fingerprint, pinned in the inventory."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from roster_upload.spec import schema
from roster_upload.spec.values import KEY_TYPES, parse_host_key
from roster_upload.terminal.printable import printable

from roster_fleet import yamlfile
from roster_fleet.onboard.writing import File, with_text

VARIABLE = "roster_upload_host_keys"
SECONDS = 10
# If the operator has compared all keys of a server, the first of these types is pinned.
PREFERRED = KEY_TYPES
TYPES = "ed25519,ecdsa,rsa"
LONGEST_LINE = 4096  # characters; a key of 16,384 bits has 2,800
FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}=?")
Ask = Callable[[str, str, str, str], str]
VENDOR = "the vendor"  # who names the fingerprint


class HostKeyError(Exception):
    """There is no host key to pin. The text says what to do."""


def fingerprint(line: str) -> str:
    """Return a key line's fingerprint in OpenSSH's form, `SHA256:...`."""
    digest = hashlib.sha256(parse_host_key(line).blob).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def plain(line: str) -> str:
    """Return a key line without its comment."""
    key = parse_host_key(line)
    return f"{key.kind} {base64.b64encode(key.blob).decode()}"


def offered(host: str, port: int) -> list[str]:
    """Return the keys of a server, preferred types first. Raise HostKeyError."""
    if message := schema.problem("remote_host", host):
        raise HostKeyError(f"{message}. Correct roster_upload_remote_host")
    command = ["ssh-keyscan", "-T", str(SECONDS), "-t", TYPES, "-p", str(port), "--", host]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=6 * SECONDS)
    except FileNotFoundError:
        raise HostKeyError("ssh-keyscan is missing. Install openssh-client") from None
    except subprocess.TimeoutExpired:
        raise HostKeyError(f"{host}:{port} does not answer") from None
    words = [line.split() for line in printable_lines(done.stdout)]
    lines = [" ".join(word[1:3]) for word in words if len(word) >= 3 and word[1] in PREFERRED]
    if not lines:
        errors = printable_lines(done.stderr)
        raise HostKeyError(
            f"{host}:{port} is unreachable, or shows no host key"
            f"{' (' + errors[-1] + ')' if errors else ''}. Run the same command again later"
        )
    return sorted(set(lines), key=lambda line: PREFERRED.index(line.split()[0]))


def printable_lines(output: bytes) -> list[str]:
    """Return the lines that ssh-keyscan printed. The server chose parts of them."""
    lines = (printable(line.strip(), LONGEST_LINE) for line in output.split(b"\n"))
    return [line for line in lines if line and not line.startswith("#")]


def confirmed(lines: Sequence[str], answer: str, owner: str = VENDOR) -> str:
    """Return the offered key that an answer confirms: `yes`, or its owner's fingerprint.

    Raise HostKeyError if it confirms no key.
    """
    wanted = answer.strip().removeprefix("SHA256:").rstrip("=")
    if wanted.lower() == "yes":
        return lines[0]
    for line in lines:
        if fingerprint(line) == f"SHA256:{wanted}":
            return line
    known = ", ".join(map(fingerprint, lines))
    raise HostKeyError(
        f"{answer.strip()!r} is not a fingerprint of the server ({known}). Nothing was pinned. "
        f"Either it is mistyped, or this is not the right server. Ask {owner}"
    )


def is_pinned(lines: Sequence[str], pinned: Sequence[str]) -> bool:
    """Return whether one of the offered keys is pinned."""
    known = {parse_host_key(line) for line in pinned}
    return any(parse_host_key(line) in known for line in lines)


def with_pin(text: str, line: str) -> str:
    """Return the text of a group's file with a key pinned in it.

    Raise HostKeyError if a key is pinned already, or if the text cannot be kept.
    """
    pin = {VARIABLE: [plain(line)]}
    content, meant = yamlfile.load(text) or {}, yamlfile.plain(text) or {}
    if content.get(VARIABLE):
        raise HostKeyError(f"{VARIABLE} has keys already. Nothing is overwritten")
    if VARIABLE in content:
        content[VARIABLE] = pin[VARIABLE]
        pinned = yamlfile.dump(content, text)
    else:
        head = f"{text.rstrip()}\n\n" if text else "---\n"
        pinned = head + yamlfile.dump(yamlfile.tree(pin))
    if not yamlfile.says(pinned, meant | pin):
        raise HostKeyError(f"the file has a form that cannot be kept. Add by hand: {pin}")
    return pinned


def pin_file(folder: Path) -> Path:
    """Return the file with an inventory's pinned keys."""
    return folder / "group_vars" / "district_hosts" / "main.yml"


class HostKeys:
    """The host keys of an onboarding's servers. Each is read once, and asked about once.

    `ask` gets the server, its shown keys, who names the fingerprint, and the problem of the
    previous answer. It returns the operator's answer, or "" for none.
    """

    def __init__(self, fingerprint: str, ask: Ask, *, is_check: bool) -> None:
        self._fingerprint = fingerprint
        self._ask = ask
        self.is_check = is_check
        self._offered: dict[tuple[str, int], list[str] | HostKeyError] = {}
        self._confirmed: dict[str, str] = {}

    def pin(
        self, folder: Path, servers: Sequence[Mapping[str, Any]]
    ) -> tuple[list[File], list[dict[str, Any]]]:
        """Return the file with a new pin, if any, and a row of the closing table a server.

        A pinned key is compared and never changed.
        """
        file = pin_file(folder)
        files: list[File] = []
        report = []
        for server in servers:
            name = f"{server['host']}:{server['port']}"
            pinned = [str(line) for line in server["pinned"]]
            try:
                lines = self.lines(server["host"], int(server["port"]))
                shown = shown_keys(lines)
                if pinned:
                    did, note = compared(lines, pinned, f"{name} shows {shown}")
                elif len(servers) > 1:
                    did = "NOT PINNED"
                    note = (
                        f"{name} shows {shown}. There are several servers, so pin the key by hand "
                        "(roster_upload_host_keys) in the variables of its districts"
                    )
                else:
                    line = self.choose(name, lines, self._fingerprint)
                    before = yamlfile.read(file) if file.is_file() else ""
                    files.append(with_text(file, with_pin(before, line)))
                    did = "would be pinned" if self.is_check else "pinned"
                    note = f"{name}: {fingerprint(line)}, in {file}"
            except (HostKeyError, ValueError) as error:
                did, note = "not compared" if pinned else "NOT PINNED", str(error)
            report.append({"did": f"host key {did}", "note": note, "ok": did == did.lower()})
        return files, report

    def lines(self, host: str, port: int) -> list[str]:
        """Return the keys of a server. Raise HostKeyError."""
        if (host, port) not in self._offered:
            try:
                self._offered[host, port] = offered(host, port)
            except HostKeyError as error:
                self._offered[host, port] = error
        found = self._offered[host, port]
        if isinstance(found, HostKeyError):
            raise found
        return found

    def choose(
        self, name: str, lines: Sequence[str], known: str, owner: str = VENDOR, option: str = ""
    ) -> str:
        """Return the confirmed key. A mistyped fingerprint is asked for again.

        `known` is a fingerprint that was given beforehand, and `option` the variable that gives it.
        Raise HostKeyError without an answer.
        """
        if name in self._confirmed:
            return self._confirmed[name]
        shown = shown_keys(lines)
        problem = ""
        answer = known or self._ask(name, shown, owner, problem)
        while answer:
            try:
                self._confirmed[name] = confirmed(lines, answer, owner)
            except HostKeyError as error:
                problem = str(error)
            else:
                return self._confirmed[name]
            answer = self._ask(name, shown, owner, problem)
        raise HostKeyError(
            problem
            or f"{name} shows {shown}, which nobody has confirmed. Run the same again with the "
            f"fingerprint of {owner}: -e {option or 'onboard_fingerprint'}=SHA256:..."
        )


def shown_keys(lines: Sequence[str]) -> str:
    """Return the types and fingerprints of keys."""
    return ", ".join(f"{line.split()[0]} {fingerprint(line)}" for line in lines)


def compared(
    lines: Sequence[str],
    pinned: Sequence[str],
    shown: str,
    owner: str = VENDOR,
    variable: str = VARIABLE,
) -> tuple[str, str]:
    """Return the report on a server with a pinned key: a result and a note."""
    if is_pinned(lines, pinned):
        return "is the pinned one", shown
    known = ", ".join(fingerprint(line) for line in pinned)
    return "IS ANOTHER", (
        f"{shown}, but {known} is pinned. Nothing was changed, and nothing will be delivered. Ask "
        f"{owner} for the fingerprint, and put the right key into {variable}"
    )
