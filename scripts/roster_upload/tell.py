"""Tells who wants to know: webhook, mail, heartbeat and metrics.

Telling never breaks delivering: it happens after the receipt is written, each channel in a thread
of its own, all of them within a limit, and what does not work is a sentence in the journal.
"""

from __future__ import annotations

import calendar
import email.message
import json
import smtplib
import socket
import ssl
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from roster_upload.config import Feed
from roster_upload.findings import spec

CHANNEL_SECONDS = 10
ALL_SECONDS = 15
VERSION = 1
GREEN = ("sent", "skipped")
# What a receipt may be of; an approval, or a rehearsal that went well, is no news.
DELIVERIES = ("send", "resend")
SUBJECTS = {
    "failure": "{district}: tonight's roster was not delivered",
    "recovery": "{district}: the roster is delivered again",
    "deadline": "{district}: the deadline is near and tonight's roster is not delivered",
}
OUTCOMES = ("sent", "skipped", "held", "refused", "stale", "failed")


class Trouble(Exception):
    """Why a channel did not work, without a secret."""


def event(before: Sequence[Mapping[str, Any]], receipt: Mapping[str, Any]) -> str | None:
    """What is worth telling of a receipt, given those before it: `failure`, `recovery` or nothing.

    A failure that repeats within a night, with the same exit code, is told once.
    """
    earlier = [r for r in before if r.get("command") in (*DELIVERIES, "rehearse")]
    if receipt["outcome"] in ("rehearsed", "skipped"):
        return None
    if receipt["outcome"] == "sent":
        deliveries = [r for r in earlier if r.get("command") in DELIVERIES]
        was_red = bool(deliveries) and deliveries[-1]["outcome"] not in GREEN
        return "recovery" if was_red else None
    same = ("night", "exit_code", "command")
    if earlier and all(earlier[-1].get(key) == receipt.get(key) for key in same):
        return None
    return "failure"


def tell(feed: Feed, kind: str, receipt: Mapping[str, Any], secrets: Path | None) -> list[str]:
    """Sends a webhook and a mail about a receipt; returns a sentence for each that did not work."""
    channels: dict[str, Callable[[], None]] = {}
    if feed.webhook_url:
        channels["webhook"] = lambda: _post(feed, _address(feed, "webhook", secrets), kind, receipt)
    if feed.mail_to:
        channels["mail"] = lambda: _mail(feed, kind, receipt, secrets)
    return _all(channels, ALL_SECONDS)


def heartbeat(feed: Feed, secrets: Path | None, exit_code: int | None) -> list[str]:
    """Calls the feed's heartbeat address: at the start (None), or with the exit code at the end."""
    if not feed.heartbeat_url:
        return []
    end = "start" if exit_code is None else str(exit_code)

    def call() -> None:
        _request(f"{_address(feed, 'heartbeat', secrets).rstrip('/')}/{end}")

    return _all({"heartbeat": call}, CHANNEL_SECONDS)


def _all(channels: Mapping[str, Callable[[], None]], seconds: float) -> list[str]:
    """Runs all at once, and waits no longer than that; a name server can hang, too."""
    told = dict.fromkeys(channels, f"no answer within {seconds} s")

    def run(name: str, channel: Callable[[], None]) -> None:
        try:
            channel()
        except Trouble as trouble:
            told[name] = str(trouble)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            told[name] = _reason(error)
        else:
            del told[name]

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in channels.items()]
    end = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0))
    return [f"the {name} did not work: {why}" for name, why in dict(told).items()]


def _reason(error: Exception) -> str:
    """Why something failed; the texts of libraries may hold an address with its secret."""
    inner = getattr(error, "reason", None)
    cause = inner if isinstance(inner, OSError) else error
    code = getattr(error, "code", None) or getattr(error, "smtp_code", None)
    words = getattr(cause, "strerror", None) or type(cause).__name__
    return f"the server answered {code}" if isinstance(code, int) else str(words)


def _secret(feed: Feed, purpose: str, secrets: Path | None) -> str:
    try:
        return ((secrets or Path("/nonexistent")) / f"{feed.feed}_{purpose}").read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise Trouble(
            f"its secret {purpose} is not on this host; set roster_credentials_alerts"
        ) from None


def _address(feed: Feed, purpose: str, secrets: Path | None) -> str:
    """The address of a channel, its secret put in."""
    url: str = getattr(feed, f"{purpose}_url")
    if "{secret}" in url:
        secret = _secret(feed, purpose, secrets)
        url = url.replace("{secret}", urllib.parse.quote(secret, safe="/-_.~"))
    return url


class SameHost(urllib.request.HTTPRedirectHandler):
    """Follows no redirect to another host: the address may hold a secret."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The request that follows, or none."""
        there, here = urllib.parse.urlsplit(newurl), urllib.parse.urlsplit(req.full_url)
        if (there.scheme, there.netloc) != (here.scheme, here.netloc):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _request(url: str, data: bytes | None = None) -> None:
    request = urllib.request.Request(  # noqa: S310 - config allows http and https only
        url, data, {"User-Agent": "roster-upload"}
    )
    if data is not None:
        request.add_header("Content-Type", "application/json")
    # No proxy of the environment's: what the firewall lets out are the configured hosts.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), SameHost)
    with opener.open(request, timeout=CHANNEL_SECONDS) as answer:
        answer.read(1024)


def _post(feed: Feed, url: str, kind: str, receipt: Mapping[str, Any]) -> None:
    keys = ("outcome", "exit_code", "message", "night", "deadline", "finished")
    told = {
        "version": VERSION,
        "kind": kind,
        "feed": feed.feed,
        "district": feed.district,
        "host": socket.gethostname(),
        **{key: receipt.get(key) for key in keys},
        "action": explanation(receipt).get("do", ""),
    }
    _request(url, json.dumps(told).encode())


def explanation(receipt: Mapping[str, Any]) -> Mapping[str, str]:
    """What is known of a receipt's exit code."""
    told: Mapping[str, str] = spec("explain").get(str(receipt.get("exit_code")), {})
    return told


def _mail(feed: Feed, kind: str, receipt: Mapping[str, Any], secrets: Path | None) -> None:
    told = explanation(receipt)
    message = email.message.EmailMessage()
    message["Subject"] = SUBJECTS[kind].format(district=feed.district)
    message["From"], message["To"] = feed.mail_from, ", ".join(feed.mail_to)
    lines = [
        str(receipt.get("message", "")),
        "",
        f"Feed: {feed.feed} on {socket.gethostname()}",
        f"Night: {receipt.get('night', '')}, deadline {receipt.get('deadline', '')}",
    ]
    if kind != "recovery":
        lines += [f"Who must act: {told.get('who', '')}", f"What to do: {told.get('do', '')}"]
        lines += ["", *(f"- {reason}" for reason in receipt.get("held", ()))]
    message.set_content("\n".join(lines).replace("FEED", feed.feed))
    context = ssl.create_default_context()
    where = (feed.smtp_host, feed.smtp_port)
    server = (
        smtplib.SMTP_SSL(*where, timeout=CHANNEL_SECONDS, context=context)
        if feed.smtp_security == "tls"
        else smtplib.SMTP(*where, timeout=CHANNEL_SECONDS)
    )
    with server:
        if feed.smtp_security == "starttls":
            server.starttls(context=context)
        if feed.smtp_username:
            server.login(feed.smtp_username, _secret(feed, "smtp", secrets))
        refused = server.send_message(message)
    if refused:
        raise Trouble(f"the mail server refused {len(refused)} of the addressees")


def metrics(path: Path, feed: str, receipts: Sequence[Mapping[str, Any]]) -> None:
    """Writes Prometheus' text format for node_exporter's textfile collector; raises OSError.

    https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    temporary = path.with_suffix(".new")
    temporary.write_text(exposition(feed, receipts), "utf-8")
    temporary.chmod(0o644)
    temporary.replace(path)


def exposition(feed: str, receipts: Sequence[Mapping[str, Any]]) -> str:
    """The metrics of a feed as text."""
    runs = [r for r in receipts if r.get("command", "send") in DELIVERIES]
    if not runs:
        return ""
    last = runs[-1]
    sent = [r for r in runs if r.get("outcome") == "sent"]
    lines: list[str] = []

    def metric(
        name: str, kind: str, words: str, samples: Sequence[tuple[Mapping[str, str], float]]
    ) -> None:
        if samples:
            lines.append(f"# HELP roster_upload_{name} {words}")
            lines.append(f"# TYPE roster_upload_{name} {kind}")
        for labels, value in samples:
            told = ",".join(f'{k}="{_escaped(v)}"' for k, v in {"feed": feed, **labels}.items())
            lines.append(f"roster_upload_{name}{{{told}}} {value:g}" if value < 1e6 else
                         f"roster_upload_{name}{{{told}}} {value:.0f}")  # fmt: skip

    when = "End of the last delivery"
    metric("last_run_timestamp_seconds", "gauge", f"{when}, good or not.", [({}, _epoch(last))])
    success: list[tuple[Mapping[str, str], float]] = [({}, _epoch(r)) for r in sent[-1:]]
    metric("last_success_timestamp_seconds", "gauge", f"{when} that the vendor got.", success)
    metric("exit_code", "gauge", "Exit code of the last delivery.", [({}, last["exit_code"])])
    states = [({"outcome": name}, float(last.get("outcome") == name)) for name in OUTCOMES]
    metric("outcome", "gauge", "Outcome of the last delivery: one of them is 1.", states)
    counts = [
        ({"outcome": name}, float(sum(r.get("outcome") == name for r in runs))) for name in OUTCOMES
    ]
    metric("deliveries", "gauge", "Deliveries in the ledger by outcome.", counts)
    if sent:
        good = sent[-1]
        metric("package_bytes", "gauge", "Size of the last package that the vendor got.",
               [({}, good["source"]["bytes"])])  # fmt: skip
        rows = [({"file": name}, float(count)) for name, count in good.get("rows", {}).items()]
        metric("package_rows", "gauge", "Rows of it by file.", rows)
        if good.get("minutes_to_deadline") is not None:
            left = float(good["minutes_to_deadline"]) * 60
            metric("margin_seconds", "gauge", "Time that was left to its deadline.", [({}, left)])
    phases = [({"phase": name}, float(took)) for name, took in last.get("seconds", {}).items()]
    metric("phase_duration_seconds", "gauge", "What the last delivery's phases took.", phases)
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _epoch(receipt: Mapping[str, Any]) -> float:
    moment = time.strptime(receipt["finished"], "%Y-%m-%dT%H:%M:%SZ")
    return float(int(calendar.timegm(moment)))
