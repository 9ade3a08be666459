"""Vault files read back as they were written, and damaged ones are refused."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from ansible import constants
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret, get_file_vault_secret
from hypothesis import given
from hypothesis import strategies as st
from roster_fleet import vault

ROOT = Path(__file__).resolve().parents[3]
PAGE = 'docs/credentials.md, "Where a vault key comes from"'
KEYS = vault.Vault([("mine", VaultSecret(b"a key of some length"))])


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_every_secret_comes_back_as_it_is(secret: str) -> None:
    entry = {"secret": secret, "since": "2026-11-01"}
    assert vault.parse(vault.render(entry), "it") == entry
    with_source = {**entry, "source": {**entry, "next": secret}}
    assert vault.parse(vault.render(with_source), "it") == with_source


@pytest.mark.parametrize(
    "secret",
    ["{{ 7 * 7 }}", "a'b\"c\\d %n", " blank ", "größe", "line\nline\n", "1", "no", "2026-01-01"],
)
def test_a_file_holds_it_encrypted_for_its_owner_alone(secret: str, tmp_path: Path) -> None:
    path = tmp_path / "feed.vault"
    KEYS.write(path, {"secret": secret}, "mine")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret.strip().encode() not in path.read_bytes() or len(secret) < 3
    vault_id, text = KEYS.read(path)
    assert vault_id == "mine"
    assert vault.parse(text, path) == {"secret": secret}
    assert [left.name for left in tmp_path.iterdir()] == ["feed.vault"]


def test_a_day_may_be_written_as_one() -> None:
    assert vault.parse("secret: 'x'\nsince: 2026-11-01\n", "it")["since"] == "2026-11-01"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("secret: 12345", "secret is not a text. Put it in single quotes"),
        ("secret: ''", "secret is not a text"),
        ("password: 'x'", "keys secret, since, next"),
        ("- secret", "keys secret, since, next"),
        ("secret: 'it's'", "is not valid YAML in line 1"),
        ("source: 'x'", "source may contain the keys secret, since, next and nothing else"),
        ("source: {secret: 12345}", "source: secret is not a text"),
        ("source: {source: {secret: 'x'}}", "source may contain the keys secret, since, next and"),
        ("source:\n  secret: a#b #12345", "source: secret: YAML reads the # in it"),
        ("source: {since: '1.8.2026'}", "source: since is not a day such as 2026-08-31"),
        ("secret: 'x'\nsince: '31.8.2026'", "since is not a day such as 2026-08-31"),
        ("secret: 'x'\nsince: '20260831'", "since is not a day such as 2026-08-31"),
    ],
)
def test_a_problem_is_reported_without_its_value(text: str, message: str) -> None:
    with pytest.raises(vault.VaultError) as failed:
        vault.parse(text, "x/feed.vault")
    assert message in str(failed.value)
    assert "x/feed.vault" in str(failed.value)
    for value in ("12345", "it's"):
        assert value not in str(failed.value)


@pytest.mark.parametrize("source", [{}, {"secret": "x"}, {"next": "a\nb\n", "since": "2026-01-01"}])
def test_the_sources_secret_is_a_part_of_the_file(source: dict[str, str]) -> None:
    for entry in ({"source": source}, {"secret": "s", "source": source}):
        assert vault.parse(vault.render(entry), "it") == entry


def test_an_unencrypted_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "feed.vault"
    path.write_text("secret: 'x'\n")
    with pytest.raises(vault.VaultError, match="is unencrypted"):
        KEYS.read(path)


def test_a_link_stays_one(tmp_path: Path) -> None:
    KEYS.write(tmp_path / "real", {"secret": "x"}, "mine")
    (tmp_path / "feed.vault").symlink_to("real")
    with pytest.raises(vault.VaultError, match="is a link"):
        KEYS.write(tmp_path / "feed.vault", {"secret": "y"}, "mine")
    assert vault.parse(KEYS.read(tmp_path / "real")[1], "it") == {"secret": "x"}


def test_a_missing_key_is_named_by_its_id(tmp_path: Path) -> None:
    path = tmp_path / "feed.vault"
    KEYS.write(path, {"secret": "x"}, "mine")
    other = vault.Vault([("mine", VaultSecret(b"another key of some length"))])
    with pytest.raises(vault.VaultError, match="key of the vault id 'mine' is not the right one"):
        other.read(path)
    with pytest.raises(vault.VaultError, match="no key for the vault id 'yours'") as failed:
        KEYS.write(path, {"secret": "y"}, "yours")
    for way in ("vault_identity_list", "vault-client --vault-id yours", "environment", PAGE):
        assert way in str(failed.value)
    document, section = PAGE.split(", ")
    heading = f"## {section.strip(chr(34))}\n"
    assert heading in (ROOT / document).read_text()
    assert vault.parse(KEYS.read(path)[1], path) == {"secret": "x"}


@pytest.mark.parametrize("label", ["$(id)", "a|sh", "\x1b]0;x\x07", "a`id`", "-x"])
def test_a_vault_id_from_a_file_enters_no_command(label: str, tmp_path: Path) -> None:
    path = tmp_path / "feed.vault"
    path.write_text(f"$ANSIBLE_VAULT;1.2;AES256;{label}\n3132\n")
    with pytest.raises(vault.VaultError, match="is not a vault id") as failed:
        KEYS.read(path)
    assert str(failed.value).isprintable()
    assert "--vault-id" not in str(failed.value)


class Loader:
    """Ansible's data loader with its keys."""

    def __init__(self, *secrets: tuple[str, VaultSecret]) -> None:
        self._vault = VaultLib(list(secrets))


def key_in_git(name: str) -> VaultSecret:
    return VaultSecret((ROOT / "inventories" / name / "vault-key.txt").read_bytes().strip())


@pytest.mark.parametrize("name", ["example", "lab"])
def test_the_keys_in_git_are_for_their_inventories_alone(name: str, tmp_path: Path) -> None:
    public, loader = key_in_git(name), Loader((name, key_in_git(name)))
    assert vault.is_public(public)
    assert vault.is_public(VaultSecret(public.bytes + b"\n"))
    assert not vault.is_public(KEYS.secrets[0][1])
    for folder in (ROOT / "inventories" / name, ROOT / "build" / "a-fleet"):
        assert vault.keys_of(loader, folder).encrypt("x", name)
    (tmp_path / "mine").mkdir()
    (tmp_path / name).symlink_to("mine")
    mine = vault.keys_of(loader, tmp_path / name)
    path = tmp_path / "feed.vault"
    path.write_bytes(VaultLib().encrypt("secret: 'x'", public, "mine"))
    with pytest.raises(vault.VaultError, match=r"feed\.vault opens with a key that is in git"):
        mine.read(path)
    with pytest.raises(vault.VaultError, match=f"the key of the vault id '{name}' is in git"):
        mine.encrypt("x", name)
    whole = path.read_bytes()
    for text in (whole, b"a: !vault |\n    " + whole.replace(b"\n", b"\n    ")):
        (tmp_path / "mine" / "main.yml").write_bytes(text)
        with pytest.raises(vault.VaultError, match=r"main\.yml opens with a key that is in git"):
            vault.refuse_open_to_all(tmp_path / "mine", mine)
        vault.refuse_open_to_all(tmp_path / "mine", vault.Vault(loader._vault.secrets))


def test_the_answer_for_a_missing_key_is_not_a_key(tmp_path: Path) -> None:
    """It opens nothing, and nothing is encrypted with it."""
    none = VaultSecret(vault.NO_KEY + b"0" * 64)
    assert vault.NO_KEY.decode() in (ROOT / "scripts" / "vault-client").read_text()
    keys = vault.keys_of(Loader(("mine", none)), tmp_path)
    with pytest.raises(vault.VaultError, match="no key for the vault id 'mine'"):
        keys.encrypt("x", "mine")
    path = tmp_path / "feed.vault"
    path.write_bytes(VaultLib().encrypt("secret: 'x'", none, "mine"))
    with pytest.raises(vault.VaultError, match="no key for the vault id 'mine'"):
        keys.read(path)


def test_a_client_that_cannot_be_run_is_not_a_key(tmp_path: Path) -> None:
    """Ansible takes the text of a file that is not executable for the key."""
    client = tmp_path / "vault-client"
    client.write_bytes((ROOT / "scripts" / "vault-client").read_bytes())
    client.chmod(0o644)
    secret = get_file_vault_secret(str(client), "mine", loader=DataLoader())
    secret.load()
    assert secret.bytes.startswith(b"#!")
    with pytest.raises(vault.VaultError, match=r"'mine' would be the text .* chmod \+x"):
        vault.keys_of(Loader(("mine", secret)), tmp_path)


def test_no_feed_takes_the_file_of_the_alerts(tmp_path: Path) -> None:
    with pytest.raises(vault.VaultError, match=r"alerts\.vault is for the secrets of the alerts"):
        vault.path_of(tmp_path, "alerts")


def test_an_own_key_may_bear_the_name_of_the_example(tmp_path: Path) -> None:
    own = vault.keys_of(Loader(("example", KEYS.secrets[0][1])), tmp_path)
    own.write(tmp_path / "feed.vault", {"secret": "x"}, "example")
    vault.refuse_open_to_all(tmp_path, own)
    assert own.read(tmp_path / "feed.vault")[0] == "example"


@pytest.mark.parametrize("setting", vault.SHOWS_SECRETS)
def test_a_setting_that_shows_secrets_keeps_all_closed(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, setting, True)
    for use in (lambda: vault.secrets_of(Loader()), lambda: vault.keys_of(Loader(), ROOT)):
        with pytest.raises(vault.VaultError, match=vault.SHOWS_SECRETS[setting]):
            use()


@pytest.mark.parametrize(
    ("text", "is_cut"),
    [
        ("secret: abc #def\n", True),
        ("next: abc # the new one\nsecret: 'x'\n", True),
        ("secret: abc#def\n", False),
        ("secret: 'abc' # the vendor's\nsince: 2026-08-31 # by mail\n", False),
        ("# a comment\nsecret: |\n  abc #def\n", False),
    ],
)
def test_a_secret_that_ends_at_a_comment_is_refused(text: str, is_cut: bool) -> None:
    if not is_cut:
        assert vault.parse(text, "x.vault")["secret"]
        return
    with pytest.raises(vault.VaultError) as refused:
        vault.parse(text, "x.vault")
    assert "YAML reads the # in it and what follows as a comment" in str(refused.value)
    assert "single quotes" in str(refused.value)
    assert "abc" not in str(refused.value)
