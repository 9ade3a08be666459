"""An operator's copy of the example, and its key."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret
from ansible.plugins.loader import init_plugin_loader
from new_districts import KEY, ROOT
from roster_fleet import roles, vault


@pytest.fixture(scope="session", autouse=True)
def ansible() -> None:
    init_plugin_loader()


@pytest.fixture(scope="session", autouse=True)
def _roles_are_read_once() -> Iterator[None]:
    """Read this checkout's roles once for all tests. A run of the program reads them once, too."""
    read = roles.content
    kept = functools.cache(lambda path: read(path, DataLoader()))

    def content(path: Path, loader: DataLoader) -> Any:
        return kept(path) if path.is_relative_to(ROOT / "roles") else read(path, loader)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roles, "content", content)
        yield


@pytest.fixture
def keys() -> vault.Vault:
    return vault.Vault([("example", VaultSecret(KEY))])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An operator's copy of the example."""
    return Path(shutil.copytree(ROOT / "inventories" / "example", tmp_path / "example"))
