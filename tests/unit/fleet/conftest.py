"""An operator's copy of the example, and its key."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ansible.parsing.vault import VaultSecret
from ansible.plugins.loader import init_plugin_loader
from new_districts import KEY, ROOT
from roster_fleet import vault


@pytest.fixture(scope="session", autouse=True)
def ansible() -> None:
    init_plugin_loader()


@pytest.fixture
def keys() -> vault.Vault:
    return vault.Vault([("example", VaultSecret(KEY))])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An operator's copy of the example."""
    return Path(shutil.copytree(ROOT / "inventories" / "example", tmp_path / "example"))
