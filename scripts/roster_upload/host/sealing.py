"""Read what seals a feed's secrets on this host: its key, its TPM, and the TPM's PCRs.

The header of an encrypted credential is not secret. Its layout is in systemd's source,
`src/shared/creds-util.c`: `encrypted_credential_header`, then `tpm2_credential_header`.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

HOST_KEY = Path("/var/lib/systemd/credential.secret")
HEADER = struct.Struct("<16s4I")  # the id of the kind, the sizes of key, block, IV and tag
ALIGNED = 8  # each header is filled up to a multiple of so many bytes
# The kinds' ids. The last ones also need a signature of PCR 11.
KINDS = {
    "5a1c6a86df9d4096b1d5a65e0862f19a": "host",
    "0c7cc07b117645919c4b0bea08bc20fe": "tpm2",
    "93a894094874449090caf2fc93cab553": "host+tpm2",
    "faf7eb9341e3412ca1a436f95a29362f": "tpm2",
    "af4950a849134eb1a73846304ff30c05": "host+tpm2",
}
UNKNOWN = "unknown"
# systemd 252 needs one PCR. Firmware, boot loader and systemd leave this one alone.
UNUSED_PCR = 23
WORDS = {
    "host": "the host's key",
    "tpm2": "the TPM",
    "host+tpm2": "the host's key and the TPM",
    UNKNOWN: "an unknown key",
}


class Seal(NamedTuple):
    """The kind of key that encrypts a secret, and the PCRs of the TPM to which it is bound."""

    key: str
    pcrs: tuple[int, ...] = ()

    @classmethod
    def named(cls, key: str, pcrs: Iterable[int]) -> Seal:
        """Return the seal of a report, perhaps of another release."""
        return cls(key if key in WORDS else UNKNOWN, tuple(pcrs))

    @property
    def changing_pcrs(self) -> tuple[int, ...]:
        """Return the PCRs that can change, and then lock the secret."""
        return tuple(pcr for pcr in self.pcrs if pcr != UNUSED_PCR)

    @property
    def text(self) -> str:
        """Return the seal in words."""
        if "tpm2" not in self.key:
            return WORDS[self.key]
        pcrs = self.changing_pcrs
        return f"{WORDS[self.key]}, {f'with {_listed(pcrs)}' if pcrs else 'without PCRs'}"

    def to_json(self) -> dict[str, object]:
        """Return the seal as JSON values."""
        return {"key": self.key, "pcrs": list(self.pcrs)}


def _listed(pcrs: Iterable[int]) -> str:
    return "PCR " + " and ".join(map(str, pcrs))


def seal_of(data: bytes) -> Seal:
    """Return the seal of an encrypted credential."""
    with contextlib.suppress(binascii.Error, struct.error):
        blob = base64.b64decode(b"".join(data.split()), validate=True)
        kind, _, _, size, _ = HEADER.unpack_from(blob)
        key = KINDS.get(kind.hex(), UNKNOWN)
        if "tpm2" not in key:
            return Seal(key)
        (mask,) = struct.unpack_from("<Q", blob, -(-(HEADER.size + size) // ALIGNED) * ALIGNED)
        return Seal(key, tuple(pcr for pcr in range(24) if mask >> pcr & 1))
    return Seal(UNKNOWN)


def seals(folder: Path) -> list[Seal]:
    """Return the different seals of a folder of encrypted credentials. Raise OSError.

    Hidden files are leftovers, which systemd skips.
    """
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted({seal_of(path.read_bytes()) for path in files})


def why_locked(found: Iterable[Seal], host_key: Path = HOST_KEY) -> str:
    """Return why a host cannot open its secrets, as far as their seals show it."""
    found = list(found)
    if pcrs := sorted({pcr for seal in found for pcr in seal.changing_pcrs}):
        return (
            f"they are bound to {_listed(pcrs)} of its TPM, which changes with the certificates "
            "and settings of Secure Boot"
        )
    by_host = any("host" in seal.key for seal in found)
    if by_host and not host_key.exists():
        return f"its key {host_key} is missing"
    if any("tpm2" in seal.key for seal in found):
        return "its TPM was cleared or exchanged, or its disk is a copy of another machine's"
    if by_host:
        return f"its key {host_key} was replaced, or its disk is a copy of another machine's"
    return "they are damaged"
