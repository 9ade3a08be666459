"""Seal credentials with `systemd-creds`, and read which keys and PCRs of a TPM seal one.

The header of an encrypted credential is not secret. Its layout is in systemd's source,
`src/shared/creds-util.c`: `encrypted_credential_header`, then `tpm2_credential_header`.
"""

from __future__ import annotations

import base64
import binascii
import collections
import struct
import subprocess

# The id of the kind of key, the sizes of key, block, IV and tag. The IV follows.
HEADER = struct.Struct("<16s4I")
# The mask of PCRs, their bank. More follows.
TPM = struct.Struct("<QH")
ALIGNED = 8  # each header is filled up to a multiple of so many bytes
# Kinds without a TPM: the host's key, and an empty one. All others have the TPM's header.
NO_TPM = ("5a1c6a86df9d4096b1d5a65e0862f19a", "058469daf6f54324800549da0f8ea2fb")
# systemd 252 writes no bank if there are no PCRs, and then refuses to decrypt its own file. So it
# gets a PCR that firmware, boot loader and systemd leave alone. systemd 257 needs none.
NO_BANK = 0xFFFF
UNUSED_PCR = "23"

Seal = collections.namedtuple("Seal", "kind pcrs bank")
UNKNOWN = Seal("unknown", 0, 0)


class SealError(Exception):
    """The reason of `systemd-creds`. It holds no secret."""


def systemd_creds(arguments, given=b""):
    """Run systemd-creds. Return its exit code (int), standard output and error (bytes)."""
    # Not module.run_command: that decodes, and a secret need not be decodable text.
    done = subprocess.run(
        ["systemd-creds", *arguments], input=given, capture_output=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def seal_of(data):
    """Return the Seal of an encrypted credential: the id of its kind, the PCRs' mask, the bank."""
    try:
        blob = base64.b64decode(b"".join(data.split()), validate=True)
        kind, _, _, size, _ = HEADER.unpack_from(blob)
        if kind.hex() in NO_TPM:
            return Seal(kind.hex(), 0, 0)
        pcrs, bank = TPM.unpack_from(blob, -(-(HEADER.size + size) // ALIGNED) * ALIGNED)
    except (binascii.Error, struct.error):
        return UNKNOWN
    return Seal(kind.hex(), pcrs, bank)


def sealed(name, with_key, secret):
    """Return a secret as an encrypted credential (bytes), without PCRs. Raise SealError."""
    for pcrs in ("", UNUSED_PCR):
        options = ["--name=" + name, "--with-key=" + with_key, "--tpm2-pcrs=" + pcrs]
        code, data, error = systemd_creds(["encrypt", *options, "-", "-"], secret)
        if code != 0:
            raise SealError(error.decode("utf-8", "replace").strip())
        if seal_of(data).bank != NO_BANK:
            break
    return data
