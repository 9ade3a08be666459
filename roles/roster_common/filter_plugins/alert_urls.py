"""Jinja2 filters on the Apprise URLs of alerts. No result holds a part of a URL that may be secret.

They need Apprise only for hosts with such URLs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ansible.errors import AnsibleFilterError

# A role that is installed elsewhere finds the program by PYTHONPATH.
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

VARIABLE = "roster_upload_alert_urls"
MISSING = (
    "the alerts need Apprise on the control node. Run scripts/setup, or install "
    "requirements/control.txt"
)


def _apprise() -> ModuleType:
    """Return the program's module, with Apprise. Raise AnsibleFilterError."""
    try:
        from roster_upload.notify.channels import apprise  # noqa: PLC0415 - see above

        apprise.load()
    except ImportError:
        raise AnsibleFilterError(MISSING) from None
    return apprise


def alert_url_problems(urls: Sequence[str], where: str = VARIABLE, release: str = "") -> list[str]:
    """Return a text for each URL that cannot be used, beginning with `where` and its position.

    `release` is the host's release of Debian, if it is known.
    """
    if not urls:
        return []
    apprise = _apprise()
    found = []
    for position, url in enumerate(urls, 1):
        message = apprise.problem(url)
        if not message and release:
            message = apprise.release_problem(url, release)
        if not message:
            try:
                apprise.destinations(url)
            except ValueError as error:
                message = str(error)
        found += [f"{where}: entry {position}: {message}"] if message else []
    return found


def feed_alert_problems(feeds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a text for each URL of the feeds that cannot be used."""
    return [
        f"{feed.get('feed')}: {text}"
        for feed in feeds
        for text in alert_url_problems(_texts(feed.get("alert_urls")))
    ]


def alert_destinations(urls: Sequence[str]) -> list[str]:
    """Return the servers of the URLs as `host:port`, each once. Unusable URLs have none."""
    if not urls:
        return []
    apprise = _apprise()
    found: list[str] = []
    for url in urls:
        try:
            found += apprise.destinations(url)
        except ValueError:
            continue  # `alert_url_problems` reports it
    return list(dict.fromkeys(found))


def feed_alert_urls(feeds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the URLs of all feeds, each once."""
    return list(dict.fromkeys(url for feed in feeds for url in _texts(feed.get("alert_urls"))))


def _texts(value: object) -> list[str]:
    """Return the texts of a list. The feed's own rules report other values."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {
            "alert_url_problems": alert_url_problems,
            "feed_alert_problems": feed_alert_problems,
            "alert_destinations": alert_destinations,
            "feed_alert_urls": feed_alert_urls,
        }
