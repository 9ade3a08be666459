"""Alerts by Apprise, to a hundred services: https://github.com/caronc/apprise.

Apprise is imported only to send an alert or to check an address, since it takes half a second.
"""

from __future__ import annotations

import html
import re
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any

from roster_upload.notify.channels import apprise_network as network
from roster_upload.notify.channels.channel import ALL_SECONDS, Channel, Trouble, run
from roster_upload.spec.checks import alert_url

NO_VALUES: Mapping[str, Any] = MappingProxyType({})
SENDER = "roster-upload"
JSON_KEYS = ("version", "title", "message", "type", "attachments")  # Apprise's own
OTHER_URLS = ("setup_url", "service_url", "app_url", "image_url", "request_url")
# Services that Apprise 1.9.3 of Debian 13 has and 1.2.0 of Debian 12 has not.
NOT_IN_DEBIAN_12 = frozenset(
    (
        *("atalk", "azure", "bluesky", "bsky", "bulkvs", "burstsms", "chanify", "feishu"),
        *("freemobile", "httpsms", "lsea", "lseas", "lunasea", "lunaseas", "misskey"),
        *("misskeys", "notifiarr", "pagertree", "plivo", "pushdeer", "pushdeers", "pushme"),
        *("pushy", "resend", "revolt", "seven", "sfr", "smsmanager", "smsmgr", "splunk"),
        *("synology", "synologys", "threema", "victorops", "voipms", "webex", "wecombot"),
        *("whatsapp", "workflow", "workflows", "wxpusher", "x"),
    )
)
HINT = "https://github.com/caronc/apprise/wiki lists the services and their addresses"


class UnusableUrl(ValueError):
    """An address that cannot be used. The text holds its scheme and no other part."""


@dataclass(frozen=True)
class Sent:
    """The result of one channel. `trouble` is "" if it accepted the alert."""

    name: str
    seconds: float
    trouble: str


def send(
    urls: Sequence[str],
    title: str,
    body: str,
    kind: str = "failure",
    values: Mapping[str, Any] = NO_VALUES,
) -> list[str]:
    """Send an alert through all channels at once. Return a text for each that did not work.

    `kind` is Apprise's: info, success, warning or failure. `values` go to json:// only. Never
    raise, and take no longer than ALL_SECONDS.
    """
    sent = deliver(urls, title, body, kind, values)
    return [f"the alert to {one.name} did not work: {one.trouble}" for one in sent if one.trouble]


def deliver(
    urls: Sequence[str],
    title: str,
    body: str,
    kind: str = "failure",
    values: Mapping[str, Any] = NO_VALUES,
) -> list[Sent]:
    """Send an alert through all channels at once. Return the result of each, in their order."""
    if not urls:
        return []
    names = channel_names(urls)
    try:
        library = load()
    except Exception as error:  # noqa: BLE001 - no channel harms a delivery
        text = f"Apprise cannot be loaded ({type(error).__name__}). Run site.yml"
        return [Sent(name, 0, text) for name in names]
    took: dict[str, float] = {}

    def call(name: str, url: str) -> None:
        began = time.monotonic()
        try:
            _send(library, url, {"title": title, "body": body, "notify_type": kind}, values)
        finally:
            took[name] = time.monotonic() - began

    channels = [
        Channel(name, "", lambda name=name, url=url: call(name, url))  # type: ignore[misc]
        for name, url in zip(names, urls, strict=True)
    ]
    failures = run(channels, ALL_SECONDS)
    return [Sent(name, took.get(name, ALL_SECONDS), failures.get(name, "")) for name in names]


def channel_names(urls: Sequence[str]) -> list[str]:
    """Return a name for each address: its scheme, with its position if several have it.

    A service's own address, such as https://hooks.slack.com/…, is called by its server.
    """
    names = [_host(url) if _scheme(url) == "https" else _scheme(url) for url in urls]
    return [
        f"{name} ({position})" if names.count(name) > 1 else name
        for position, name in enumerate(names, 1)
    ]


def problem(url: str) -> str:
    """Return what is wrong with an address, without its secret parts, or ""."""
    try:
        plugin(load(), url)
    except ValueError as error:
        return str(error)
    return ""


def release_problem(url: str, release: str) -> str:
    """Return what is wrong with an address for a release of Debian, or "". Raise ValueError."""
    kind = type(plugin(load(), url))
    if release != "12" or not _schemes(kind) & NOT_IN_DEBIAN_12:
        return ""
    return (
        f"{_scheme(url)}://: Apprise of Debian 12 does not know this service. Use another one, "
        "such as mail, or install the host with Debian 13"
    )


def _schemes(kind: type) -> set[str]:
    """Return the schemes of a plugin."""
    found = [getattr(kind, name, None) or () for name in ("protocol", "secure_protocol")]
    return {text for item in found for text in ((item,) if isinstance(item, str) else item)}


def destinations(url: str) -> list[str]:
    """Return the servers of a channel as `host:port`. Raise UnusableUrl.

    A pretended alert shows them, since each plugin of Apprise builds its addresses by itself.
    """
    library, hosts = load(), []
    message = {"title": "test", "body": "test", "notify_type": "failure"}
    for answer in network.PRETENDED:
        one = plugin(library, url)
        one.request_rate_per_sec = 0
        with network.conversation(answer) as heard:
            accepted = _notify(library, one, message)
        hosts += heard.servers
        if accepted:
            break
    else:
        hosts += _named_servers(one)
    if not hosts:
        raise UnusableUrl(
            f"{_scheme(url)}://: its servers are unknown, so the firewall cannot let it out"
        )
    return list(dict.fromkeys(hosts))


def _named_servers(one: Any) -> list[str]:
    """Return the servers among the attributes of a plugin, such as `auth_url`."""
    found = []
    for name in dir(type(one)):
        value = getattr(type(one), name)
        if name.endswith("url") and name not in OTHER_URLS and isinstance(value, str):
            parts = urllib.parse.urlsplit(value)
            if parts.scheme in network.PORTS and "{" not in parts.netloc and parts.hostname:
                found.append(f"{parts.hostname}:{parts.port or network.PORTS[parts.scheme]}")
    return found


def load() -> ModuleType:
    """Return Apprise, with its network guarded. Raise ImportError."""
    import apprise  # noqa: PLC0415

    network.guard()
    module: ModuleType = apprise
    return module


def plugin(library: ModuleType, url: str) -> Any:
    """Return Apprise's object for an address. Raise ValueError."""
    alert_url(url)
    scheme = _scheme(url)
    # With a wrong port Apprise takes the server's name for a topic of the public ntfy.sh.
    port = re.search(":([0-9]+)$", urllib.parse.urlsplit(url).netloc)
    if port and not 0 < int(port[1]) < 1 << 16:
        raise UnusableUrl(f"{scheme}://: its port is wrong. Use 1 to 65535")
    asset = library.AppriseAsset(async_mode=False, app_id=SENDER, app_desc=SENDER, app_url="")
    asset.image_url_mask = asset.image_url_logo = ""  # pictures are at a server of Apprise's own
    try:
        one = library.Apprise.instantiate(url, asset=asset)
    except Exception:  # noqa: BLE001 - its text may hold the secret
        one = None
    if one is None:
        raise UnusableUrl(
            f"{scheme}://: Apprise {library.__version__} does not know this address or misses a "
            f"part of it. {HINT}"
        )
    if not network.is_guarded(type(one)):
        raise UnusableUrl(
            f"{scheme}:// is not allowed. Use a service that is reached by HTTP or by mail"
        )
    wishes = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
    _check_mail(scheme, one, wishes)
    if scheme in ("mmost", "mmosts") or "ssl" in wishes.get("mode", []):
        _check_port(scheme, url)
    _adapt(one, wishes)
    return one


def _scheme(url: str) -> str:
    """Return the scheme of any text, "" without one. The rest may be secret."""
    scheme, mark, _ = url.partition("://")
    return scheme.lower() if mark and scheme.isalnum() else ""


def _host(url: str) -> str:
    try:
        return urllib.parse.urlsplit(url).hostname or "https"
    except ValueError:  # such an address is refused later, with a text
        return "https"


def _check_mail(scheme: str, one: Any, wishes: Mapping[str, list[str]]) -> None:
    """Raise UnusableUrl for a login at a mail server without encryption."""
    if not scheme.startswith("mailto") or not one.password:
        return
    if scheme == "mailto" or "insecure" in wishes.get("mode", []):
        raise UnusableUrl(f"{scheme}:// would send the password unencrypted. Write mailtos://")


def _check_port(scheme: str, url: str) -> None:
    """Raise UnusableUrl for an address without a port, where Apprise's releases assume others."""
    try:
        has_port = urllib.parse.urlsplit(url).port
    except ValueError:
        has_port = None
    if not has_port:
        raise UnusableUrl(f"{scheme}://: name the port, as HOST:PORT")


def _adapt(one: Any, wishes: Mapping[str, list[str]]) -> None:
    """Send plain text, cut to the service's length, unless the address has other wishes."""
    if "format" not in wishes:
        one.notify_format = "text"
    if "overflow" not in wishes:
        one.overflow_mode = "truncate"
    if hasattr(one, "smtp_host"):
        one.headers.setdefault("Auto-Submitted", "auto-generated")


def _send(
    library: ModuleType, url: str, message: Mapping[str, str], values: Mapping[str, Any]
) -> None:
    """Send an alert through one channel. Raise Trouble."""
    try:
        one = plugin(library, url)
    except ValueError as error:
        raise Trouble(str(error)) from None
    if _scheme(url) in ("json", "jsons"):
        known = {name: value for name, value in values.items() if name not in JSON_KEYS}
        one.payload_extras = {**known, **one.payload_extras}
    is_slack = type(one).__name__ == "NotifySlack"
    if is_slack and one.notify_format == "text":
        # Slack reads <...> as a link or as a call to everybody in the channel.
        message = {name: html.escape(text, quote=False) for name, text in message.items()}
    with network.conversation() as heard:
        accepted = _notify(library, one, message)
    if is_slack and heard.answers and set(heard.answers) == {b"ok"}:
        accepted = True  # Apprise 1.2.0 of Debian 12 compares this answer with a text
    if not accepted:
        raise Trouble(heard.cause or "Apprise did not send it")
    if heard.refused:
        raise Trouble(heard.refused)


def _notify(library: ModuleType, one: Any, message: Mapping[str, str]) -> bool:
    """Return whether a plugin sent a message."""
    sender = library.Apprise(asset=one.asset)
    sender.add(one)
    return bool(sender.notify(**message, body_format="text"))
