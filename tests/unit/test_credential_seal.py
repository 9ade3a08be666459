"""No update of the firmware locks new secrets, and older ones are sealed anew."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from roster_upload.host import sealing
from support import forks
from support.seals import HEADS, head
from unit.test_rotation import MODULE, PARTS, ROOT

spec = importlib.util.spec_from_file_location(
    "credential_seal", ROOT / "roles/roster_credentials/module_utils/credential_seal.py"
)
assert spec
assert spec.loader
credential_seal = importlib.util.module_from_spec(spec)
spec.loader.exec_module(credential_seal)

# Seals as systemd-creds does on a host with a TPM: to PCR 7 by default, and with the fault of
# systemd 252, a file without a bank. `machine.json` has the release, the keys and PCR 7.
SYSTEMD_CREDS = """#!{python}
import base64, json, os, struct, sys
machine = json.load(open(os.path.dirname(sys.argv[0]) + "/machine.json"))
words = dict(word[2:].split("=", 1) for word in sys.argv[2:] if word.startswith("--"))
IDS = {{"host": "5a1c6a86df9d4096b1d5a65e0862f19a", "tpm2": "0c7cc07b117645919c4b0bea08bc20fe",
       "host+tpm2": "93a894094874449090caf2fc93cab553"}}
def keys(kind, mask):
    named = {{"host": machine["host"], "tpm2": machine["tpm"]}}
    found = {{name: named[name] for name in kind.split("+")}}
    return found | ({{"pcr": machine["pcr7"]}} if mask & 128 else {{}})
if sys.argv[1] == "encrypt":
    kind = words["with-key"]
    if kind == "auto":
        kind = "host+tpm2" if machine["tpm"] else "host"
    elif "tpm2" in kind and not machine["tpm"]:
        sys.exit("TPM2 not supported")
    pcrs = words.get("tpm2-pcrs", "7")
    mask = sum(1 << int(pcr) for pcr in pcrs.split("+") if pcr) if "tpm2" in kind else 0
    data = bytes.fromhex(IDS[kind]) + struct.pack("<4I", 32, 1, 12, 16) + bytes(16)
    bank = 0xFFFF if not mask and machine["release"] == 252 else 11
    if "tpm2" in kind:
        data += struct.pack("<QH", mask, bank) + bytes(14)
    inside = {{"name": words["name"], "keys": keys(kind, mask)}}
    inside["secret"] = sys.stdin.buffer.read().hex()
    print(base64.b64encode(data + json.dumps(inside).encode()).decode())
else:
    blob = base64.b64decode(open(sys.argv[-2]).read())
    kind = {{value: key for key, value in IDS.items()}}[blob[:16].hex()]
    mask, bank = struct.unpack_from("<QH", blob, 48) if "tpm2" in kind else (0, 11)
    inside = json.loads(blob[72 if "tpm2" in kind else 48:])
    if bank == 0xFFFF:
        sys.exit("TPM2 PCR bank invalid or not supported")
    if inside["name"] != words["name"] or inside["keys"] != keys(kind, mask):
        sys.exit("cannot be decrypted")
    sys.stdout.buffer.write(bytes.fromhex(inside["secret"]))
"""
CURRENT, STATE = "alder_current", "alder_state"
WITHOUT_PCRS = "the host's key and the TPM, without PCRs"


class Machine:
    """A host with a TPM, whose module keeps two credentials of a feed."""

    def __init__(self, folder: Path, release: int = 257) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = {"release": release, "host": "h", "tpm": "t", "pcr7": "0"}
        program = folder / "systemd-creds"
        program.write_text(SYSTEMD_CREDS.format(python=sys.executable))
        program.chmod(0o755)
        self.change()

    def change(self, **facts: Any) -> None:
        """Change the machine, such as its PCR 7."""
        self.facts |= facts
        (self.folder / "machine.json").write_text(json.dumps(self.facts))

    def path(self, name: str) -> Path:
        return self.folder / name

    def seal(self, name: str) -> str:
        return sealing.seal_of(self.path(name).read_bytes()).text

    def old(self) -> None:
        """Store both credentials as release 0.1.0 did, bound to PCR 7."""
        for name, secret in ((CURRENT, "password"), (STATE, "k" * 32)):
            words = ["encrypt", f"--name={name}", "--with-key=auto", "-", "-"]
            done = subprocess.run(
                [self.folder / "systemd-creds", *words],
                input=secret,
                capture_output=True,
                text=True,
                check=True,
            )
            self.path(name).write_text(done.stdout)
            self.path(name).chmod(0o600)
            os.utime(self.path(name), (1_750_000_000, 1_750_000_000))

    def keep(self, *, check: bool = False, **options: Any) -> dict[str, Any]:
        """Run the module as site.yml does."""
        credentials = [
            {"name": STATE, "path": str(self.path(STATE)), "generate": "bytes"},
            {"name": CURRENT, "path": str(self.path(CURRENT)), "secret": "password"},
        ]
        values = {"_ansible_check_mode": check, "_ansible_remote_tmp": str(self.folder)}
        arguments = {"credentials": credentials, **options, **values}
        # These files are an ordinary account's if the tests run as one.
        owned = "import os; os.lstat = (lambda real: lambda path: Root(real(path)))(os.lstat)"
        root = (
            "class Root:\n"
            "    def __init__(self, real): self.real = real\n"
            "    def __getattr__(self, name): return 0 if name == 'st_uid' else "
            "getattr(self.real, name)\n"
        )
        done = forks.having("ansible.module_utils.basic").run(
            f"{root}{owned}\n{PARTS}; import runpy; "
            f"runpy.run_path({str(MODULE)!r}, run_name='__main__')",
            stdin=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            env={
                **os.environ,
                "_ANSIBLE_MODULE_PROFILE": "legacy",
                "PATH": f"{self.folder}:{os.environ['PATH']}",
            },
        )
        assert done.stdout, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_module_and_program_read_the_same_seals() -> None:
    for name in HEADS:
        seal = credential_seal.seal_of(head(name))
        mask = sum(1 << pcr for pcr in sealing.seal_of(head(name)).pcrs)
        assert (sealing.KINDS[seal.kind], seal.pcrs) == (sealing.seal_of(head(name)).key, mask)
    assert credential_seal.seal_of(b"no seal") == credential_seal.UNKNOWN
    assert credential_seal.seal_of(head("host+tpm2, no PCR, 252")).bank == credential_seal.NO_BANK
    assert str(sealing.UNUSED_PCR) == credential_seal.UNUSED_PCR


@pytest.mark.parametrize("release", [252, 257])
def test_new_secrets_survive_a_change_of_secure_boot(release: int, tmp_path: Path) -> None:
    host = Machine(tmp_path, release)
    assert host.keep()["changed"]
    assert host.seal(CURRENT) == WITHOUT_PCRS
    host.change(pcr7="of new certificates")
    assert host.keep()["changed_names"] == []


def test_secrets_that_are_bound_to_pcr_7_are_sealed_anew_while_they_can_be_read(
    machine: Machine,
) -> None:
    machine.old()
    assert machine.seal(STATE).endswith("with PCR 7")
    before = machine.path(STATE).read_bytes()
    assert set(machine.keep(check=True)["changed_names"]) == {CURRENT, STATE}
    assert machine.path(STATE).read_bytes() == before
    result = machine.keep()
    assert set(result["changed_names"]) == {CURRENT, STATE}
    assert machine.seal(STATE) == WITHOUT_PCRS
    assert machine.seal(CURRENT) == WITHOUT_PCRS
    # The age of a secret is its own. The state key is the same, so the guard's memory is, too.
    age = machine.path(STATE).stat().st_mtime
    assert age == 1_750_000_000
    machine.change(pcr7="of new certificates")
    assert machine.keep()["changed_names"] == []


@pytest.mark.parametrize(
    ("first", "then", "seal"),
    [
        ("auto", "host", "the host's key"),
        ("host", "tpm2", "the TPM, without PCRs"),
        ("tpm2", "host+tpm2", WITHOUT_PCRS),
    ],
)
def test_another_kind_of_key_seals_all_anew(
    first: str, then: str, seal: str, machine: Machine
) -> None:
    machine.keep(with_key=first)
    assert set(machine.keep(with_key=then)["changed_names"]) == {CURRENT, STATE}
    assert machine.seal(STATE) == machine.seal(CURRENT) == seal
    assert machine.keep(with_key=then)["changed_names"] == []


def test_a_tpm_that_appears_is_used(machine: Machine) -> None:
    """Its library comes with site.yml, before the secrets."""
    machine.change(tpm="")
    machine.keep()
    assert machine.seal(STATE) == "the host's key"
    machine.change(tpm="t")
    machine.keep()
    assert machine.seal(STATE) == WITHOUT_PCRS


def cleared(machine: Machine) -> None:
    machine.change(pcr7="of new certificates")


def replaced(machine: Machine) -> None:
    machine.change(host="of another disk")


@pytest.mark.parametrize("loss", [cleared, replaced])
def test_what_the_host_made_itself_is_never_made_anew_without_a_word(
    loss: Callable[[Machine], None], machine: Machine
) -> None:
    machine.old()
    lost = machine.path(STATE).read_bytes()
    loss(machine)
    result = machine.keep()
    assert result["failed"]
    assert result["lost"] == [STATE]
    for part in (STATE, "the guard holds the next export", "roster_credentials_replace_lost=true"):
        assert part in result["msg"]
    assert machine.path(STATE).read_bytes() == lost
    # The others are mended, since the vault has them.
    assert result["changed_names"] == [CURRENT]
    assert machine.seal(CURRENT) == WITHOUT_PCRS


def test_an_operator_can_let_it_be_made_anew(machine: Machine) -> None:
    machine.old()
    lost = machine.path(STATE).read_bytes()
    cleared(machine)
    assert set(machine.keep(replace_lost=True, check=True)["changed_names"]) == {CURRENT, STATE}
    assert machine.path(STATE).read_bytes() == lost
    result = machine.keep(replace_lost=True)
    assert not result.get("failed")
    assert result["lost"] == [STATE]
    assert machine.path(f".{STATE}.lost").read_bytes() == lost
    assert machine.keep()["changed_names"] == []


def test_a_key_that_the_host_cannot_use_is_named(machine: Machine) -> None:
    machine.change(tpm="")
    result = machine.keep(with_key="tpm2")
    assert result["failed"]
    assert "TPM2 not supported" in result["msg"]
