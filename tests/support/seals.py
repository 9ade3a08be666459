"""Heads of real encrypted credentials, made by `systemd-creds` with a software TPM."""

from __future__ import annotations

# The first bytes: the header, with the TPM's header where there is one.
HEADS = {
    "host": ("Whxqht+dQJax1aZeCGLxmiAAAAABAAAADAAAABAAAAAULhua1yjB/OlBta0AAAAA3WXbSVub9M10F3Uf"),
    "tpm2, PCR 7": (
        "DHzAexF2RZGcSwvqCLwg/iAAAAABAAAADAAAABAAAABSudksBBwmaynEQ8cAAAAAgAAAAAAAAAALACMA"
    ),
    "host+tpm2, PCR 7": (
        "k6iUCUh0RJCQyvL8k8q1UyAAAAABAAAADAAAABAAAAD2SWSvtS/koKmIr2AAAAAAgAAAAAAAAAALACMA"
    ),
    # systemd 252 writes no bank, and refuses to decrypt it.
    "host+tpm2, no PCR, 252": (
        "k6iUCUh0RJCQyvL8k8q1UyAAAAABAAAADAAAABAAAABdsf+ij5a103wIvHEAAAAAAAAAAAAAAAD//yMA"
    ),
    "host+tpm2, no PCR": (
        "k6iUCUh0RJCQyvL8k8q1UyAAAAABAAAADAAAABAAAADYTd6yFF0u2BCiD5wAAAAAAAAAAAAAAAALACMA"
    ),
    "host+tpm2, PCR 23": (
        "k6iUCUh0RJCQyvL8k8q1UyAAAAABAAAADAAAABAAAABn6PzNLWaKGbf00QsAAAAAAACAAAAAAAALACMA"
    ),
}


def head(name: str) -> bytes:
    """Return a head as systemd-creds writes a file, with a line break inside."""
    text = HEADS[name]
    return f"{text[:69]}\n{text[69:]}\n".encode()
