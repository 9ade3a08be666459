"""Notify of a run's news: one message for each channel, which names what concerns it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import repeat
from typing import Any

from roster_upload.notify.channels import apprise
from roster_upload.notify.message import Message

from roster_fleet.watch import message
from roster_fleet.watch import news as decisions
from roster_fleet.watch.message import Scene
from roster_fleet.watch.news import Entry, News
from roster_fleet.watch.state import State

NO_CHANNEL = (
    "no alert channel: {titles}. Set roster_upload_alert_urls, or urls in alerts.vault "
    '(docs/operations.md, "Send alerts")'
)
NO_CHANNEL_AT_ALL = "no host of the inventory has one"
LISTED = 5
AT_ONCE = 20  # groups of channels, since one that hangs takes its full time

Urls = Callable[[str, str], Sequence[str]]  # of a host and a feed, or of all its feeds
Send = Callable[[Sequence[str], str, str, str, Mapping[str, Any]], list[str]]  # see apprise.send


def notify(
    found: Sequence[Entry],
    state: State,
    asked: Collection[str],
    urls: Urls,
    scene: Scene,
    send: Send = apprise.send,
) -> tuple[State, list[str]]:
    """Notify of what is new since the last run. Return the state after it, and the failures."""
    scene = replace(scene, is_anyone_there=_is_anyone_there(found, asked))
    news = decisions.compare(found, state.told, asked)
    keyed = {entry.key: (entry.host, "" if entry.is_silent else entry.feed) for entry in news.new}
    keyed |= {key: _host_and_feed(key) for key in news.resolved}
    channels = {key: tuple(urls(*names)) for key, names in keyed.items()}
    troubles = _without_channel(news, channels)
    accepted: set[str] = set()
    groups = _groups(channels)
    made = [message.of_news(_part(news, keys), scene) for keys in groups.values()]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        failures = pool.map(_deliver, groups, made, repeat(send))
    for (addresses, keys), failed in zip(groups.items(), failures, strict=True):
        troubles += failed
        if len(failed) < len(addresses):
            accepted |= keys
    told = decisions.remembered(found, state.told, news, accepted)
    return replace(state, told=told), list(dict.fromkeys(troubles))


def notify_of_failure(
    troubles: Sequence[str], addresses: Sequence[str], scene: Scene, send: Send = apprise.send
) -> list[str]:
    """Notify that the watch failed. Return a text for each channel that did not work."""
    if not addresses:
        return [NO_CHANNEL.format(titles=NO_CHANNEL_AT_ALL)]
    return _deliver(addresses, message.of_failure(scene, troubles), send)


def all_addresses(hosts: Sequence[str], urls: Urls) -> list[str]:
    """Return the addresses of all hosts, each once."""
    return list(dict.fromkeys(url for host in hosts for url in urls(host, "")))


def _deliver(addresses: Sequence[str], made: Message, send: Send) -> list[str]:
    """Send a message to all addresses at once. Return a text for each that did not work."""
    return send(addresses, made.title, made.body, made.kind, made.values)


def _is_anyone_there(found: Sequence[Entry], asked: Collection[str]) -> bool:
    silent = {entry.host for entry in found if entry.is_silent}
    return len(asked) < 2 or not silent >= set(asked)


def _host_and_feed(key: str) -> tuple[str, str]:
    host, _, feed = key.rpartition("/")
    return host, feed


def _without_channel(news: News, channels: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the failure that new entries reach nobody."""
    lost = [entry.title for entry in news.new if not channels[entry.key]]
    more = [f"and {len(lost) - LISTED:,} more"] if len(lost) > LISTED else []
    return [NO_CHANNEL.format(titles=", ".join([*lost[:LISTED], *more]))] if lost else []


def _groups(channels: Mapping[str, Sequence[str]]) -> dict[tuple[str, ...], set[str]]:
    """Return the keys that each group of URLs is notified of. No URL is in two groups."""
    keys: dict[str, set[str]] = {}
    for key, urls in channels.items():
        for url in urls:
            keys.setdefault(url, set()).add(key)
    found: dict[frozenset[str], list[str]] = {}
    for url, concerned in keys.items():
        found.setdefault(frozenset(concerned), []).append(url)
    return {tuple(urls): set(concerned) for concerned, urls in found.items()}


def _part(news: News, keys: Collection[str]) -> News:
    """Return the news that concern a channel."""
    new = [entry for entry in news.new if entry.key in keys]
    return News(new, {key: title for key, title in news.resolved.items() if key in keys})
