"""Tells who wants to know: webhook, mail, heartbeat and metrics.

Telling never breaks delivering: it happens after the receipt is written, each channel in a thread
of its own, all of them within a limit, and what does not work is a sentence in the journal.
"""

from __future__ import annotations

import email.message
import email.utils
import http.client
import itertools
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

from roster_upload.cli.render import epoch, next_step, seconds_left, told_texts
from roster_upload.config import Feed
from roster_upload.exits import Exit
from roster_upload.host import atomic
from roster_upload.records.receipts import DELIVERIES, GREEN, is_delivery, sent_file, told_findings
from roster_upload.spec import spec
from roster_upload.terminal.printable import LONGEST_MESSAGE, printable, printable_lines

CHANNEL_SECONDS = 10
ALL_SECONDS = 15
VERSION = 1
NO_NEWS = (*GREEN, "rehearsed")
SUBJECTS = {
    "failure": "{district}: tonight's roster was not delivered",
    "rehearsal": "{district}: tonight's roster would not be delivered",
    "recovery": "{district}: the roster is delivered again",
    "unrecorded": "{district}: the roster is delivered, and its receipt could not be written",
    "deadline": "{district}: the deadline is near and tonight's roster is not delivered",
    "findings": "{district}: the roster is delivered, with findings to correct in the SIS",
}
FINDINGS_STEP = "roster-upload check {feed} shows all findings. Correct the rows in the SIS."
OUTCOMES = ("sent", "skipped", "held", "refused", "stale", "failed")
# Words of ours for what libraries raise; theirs may hold an address with its secret.
REASONS: Mapping[type[Exception], str] = {
    TimeoutError: "no answer in time",
    socket.gaierror: "its name cannot be resolved",
    ssl.SSLCertVerificationError: "its certificate is not to be trusted",
    ssl.SSLError: "no TLS connection comes about",
    smtplib.SMTPServerDisconnected: "it hung up",
    smtplib.SMTPRecipientsRefused: "it refused all of the addressees",
    smtplib.SMTPNotSupportedError: "it does not offer what smtp_security and smtp_username ask for",
    http.client.RemoteDisconnected: "it hung up",
    http.client.InvalidURL: "its address is none",
    http.client.HTTPException: "its answer is not HTTP",
    UnicodeError: "its address or secret holds a character that cannot be sent",
}


Channel = tuple[str, Callable[[], None]]  # the host that it talks to, and what it does


class Trouble(Exception):
    """Why a channel did not work, without a secret."""


def event(before: Sequence[Mapping[str, Any]], receipt: Mapping[str, Any]) -> str | None:
    """Return what is worth telling of a receipt, given those before it: a key of `SUBJECTS`.

    A failure is told once a night for each exit code, and again after a delivery; a rehearsal's
    failure is told by itself. A delivery is a recovery after a failure or the watcher's alarm,
    whatever was skipped since. A start that found the feed busy counts for neither. Findings that
    people have to be told of come with the recovery, or by themselves. So does a delivery whose
    receipt could not be written.
    """
    if receipt["outcome"] == "sent":
        if receipt.get("exit_code"):
            return "unrecorded"
        tries = [r for r in before if is_delivery(r) or r.get("command") == "watch"]
        last = [r for r in tries if r["outcome"] != "skipped" and not _is_busy(r)][-1:]
        if any(r["outcome"] != "sent" for r in last):
            return "recovery"
        return "findings" if receipt.get("told") else None
    commands = DELIVERIES if is_delivery(receipt) else ("rehearse",)
    if receipt.get("command", "send") not in commands or receipt["outcome"] in NO_NEWS:
        return None
    if _is_busy(receipt):  # the delivery that is under way tells of itself
        return None
    latest = (r for r in reversed(before) if r.get("command", "send") in commands)
    failures = itertools.takewhile(lambda r: r["outcome"] not in ("sent", "rehearsed"), latest)
    same = ("night", "exit_code")
    is_told = any(all(r.get(key) == receipt.get(key) for key in same) for r in failures)
    return None if is_told else "failure"


def _is_busy(receipt: Mapping[str, Any]) -> bool:
    """Whether a start found the feed busy; one that got no turn has an export, and failed."""
    return receipt.get("exit_code") == Exit.BUSY and "sha256" not in receipt.get("source", {})


def tell(feed: Feed, kind: str, receipt: Mapping[str, Any], secrets: Path | None) -> list[str]:
    """Sends a webhook and a mail about a receipt; returns a sentence for each that did not work."""
    channels: dict[str, Channel] = {}
    if feed.webhook_url:
        channels["webhook"] = (
            _host(feed.webhook_url),
            lambda: _request(_address(feed, "webhook", secrets), _news(feed, kind, receipt)),
        )
    if feed.mail_to:
        channels["mail"] = feed.smtp_host, lambda: _send(feed, _mail(feed, kind, receipt), secrets)
    return _all(channels, ALL_SECONDS)


def heartbeat(feed: Feed, secrets: Path | None, exit_code: int | None) -> list[str]:
    """Calls the feed's heartbeat address: at the start (None), or with the exit code at the end.

    As https://healthchecks.io/docs/http_api/ has it; returns a sentence where it did not work.
    """
    if not feed.heartbeat_url:
        return []
    end = "start" if exit_code is None else str(exit_code)

    def call() -> None:
        parts = urllib.parse.urlsplit(_address(feed, "heartbeat", secrets))
        _request(parts._replace(path=f"{parts.path.rstrip('/')}/{end}").geturl())

    return _all({"heartbeat": (_host(feed.heartbeat_url), call)}, CHANNEL_SECONDS)


def _all(channels: Mapping[str, Channel], seconds: float) -> list[str]:
    """Runs all at once, and waits no longer than that; a name server can hang, too."""
    told = {
        name: f"no answer of {host} within {seconds:g} s" for name, (host, _) in channels.items()
    }

    def run(name: str, host: str, channel: Callable[[], None]) -> None:
        try:
            channel()
        except Trouble as trouble:
            told[name] = str(trouble)
        except Exception as error:  # noqa: BLE001 - telling never breaks delivering
            told[name] = f"{host}: {_reason(error)}"
        else:
            del told[name]

    end = time.monotonic() + seconds
    threads = []
    for name, channel in channels.items():
        thread = threading.Thread(target=run, args=(name, *channel), daemon=True)
        try:
            thread.start()
        except RuntimeError:
            told[name] = "the system allows no further thread"
        else:
            threads.append(thread)
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0))
    return [f"the {name} did not work: {printable(why)}" for name, why in dict(told).items()]


def _reason(error: Exception) -> str:
    """Why something failed, in words that hold no secret."""
    is_cut = isinstance(error, smtplib.SMTPServerDisconnected)  # or an answer that came too late
    inner = error.__context__ if is_cut else getattr(error, "reason", None)
    cause = inner if isinstance(inner, Exception) else error
    code = getattr(cause, "code", None) or getattr(cause, "smtp_code", None)
    if isinstance(code, int):
        return f"it answered {code}"
    words = next((words for kind, words in REASONS.items() if isinstance(cause, kind)), None)
    return words or getattr(cause, "strerror", None) or type(cause).__name__


def _host(url: str) -> str:
    """The host of a configured address: all of it that may be told."""
    return urllib.parse.urlsplit(url).hostname or ""


def _secret(feed: Feed, purpose: str, secrets: Path | None) -> str:
    try:
        secret = ((secrets or Path("/nonexistent")) / f"{feed.feed}_{purpose}").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        secret = ""
    if not secret.strip():
        raise Trouble(f"its secret {purpose} is not on this host; put it into alerts.vault")
    return secret.rstrip("\r\n")


def _address(feed: Feed, purpose: str, secrets: Path | None) -> str:
    """The address of a channel, its secret put in."""
    url: str = getattr(feed, f"{purpose}_url")
    if "@" in urllib.parse.urlsplit(url).netloc:  # urllib would ask a name server for it
        raise Trouble("its address names a user; put a secret into its path, as {secret}")
    if "{secret}" in url:
        secret = _secret(feed, purpose, secrets)
        url = url.replace("{secret}", urllib.parse.quote(secret, safe="/-_.~"))
    return url


class SameHost(urllib.request.HTTPRedirectHandler):
    """Follows no redirect to another host: the address may hold a secret.

    Nor one of a webhook, which would arrive without what it says.
    """

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The request that follows, or none."""
        there, here = urllib.parse.urlsplit(newurl), urllib.parse.urlsplit(req.full_url)
        if req.data or (there.scheme, there.netloc) != (here.scheme, here.netloc):
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


def _news(feed: Feed, kind: str, receipt: Mapping[str, Any]) -> bytes:
    """What a webhook says, as JSON."""
    keys = ("command", "outcome", "exit_code", "message", "night", "deadline")
    told = {
        "version": VERSION,
        "kind": kind,
        "feed": feed.feed,
        "district": feed.district,
        "host": socket.gethostname(),
        **{key: _shown(receipt.get(key)) for key in keys},
        "time": receipt.get("finished"),
        "action": _action(kind, receipt),
        "findings": told_findings(receipt),
    }
    return json.dumps(told).encode()


def _shown(value: object) -> object:
    return printable(value, LONGEST_MESSAGE) if isinstance(value, str) else value


def _action(kind: str, receipt: Mapping[str, Any]) -> str:
    """Return what to do about what is told."""
    if kind == "findings":
        return FINDINGS_STEP.format(feed=receipt["feed"])
    return next_step(receipt)


def _mail(feed: Feed, kind: str, receipt: Mapping[str, Any]) -> email.message.EmailMessage:
    """What a mail says, as plain text."""
    told = spec("exits").get(str(receipt.get("exit_code")), {})
    is_rehearsal = receipt.get("command") == "rehearse"
    message = email.message.EmailMessage()
    message["Subject"] = SUBJECTS["rehearsal" if is_rehearsal else kind].format(
        district=feed.district
    )
    message["From"], message["To"] = feed.mail_from, ", ".join(feed.mail_to)
    message["Date"] = email.utils.localtime()
    message["Message-ID"] = email.utils.make_msgid(domain=feed.mail_from.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    lines = [str(receipt.get("message", ""))]
    if kind == "findings":
        who = spec("exits")[str(int(Exit.REFUSED))]["who"]
        lines += ["", f"Who must act: {who}", f"Next step: {_action(kind, receipt)}"]
    elif kind != "recovery":
        lines += [
            "",
            f"Cause: {told.get('cause', 'unknown')}",
            f"Who must act: {told.get('who', 'unknown')}",
            f"Next step: {next_step(receipt)}",
            *(f"- {reason}" for reason in receipt.get("held", ())),
        ]
    lines += [f"- {text}" for text in told_texts(receipt)]
    lines += [
        "",
        f"Feed: {feed.feed} on {socket.gethostname()}",
        f"Night: {receipt.get('night', '')}, deadline {receipt.get('deadline', '')}",
        f"Time: {receipt.get('finished', '')}",
    ]
    message.set_content(printable_lines("\n".join(lines)))
    return message


def _send(feed: Feed, message: email.message.EmailMessage, secrets: Path | None) -> None:
    password = _secret(feed, "smtp", secrets) if feed.smtp_username else ""
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
            server.login(feed.smtp_username, password)
        refused = server.send_message(message)
    if refused:
        raise Trouble(f"{feed.smtp_host} refused {len(refused)} of the addressees")


def metrics(path: Path, feed: str, receipts: Sequence[Mapping[str, Any]]) -> None:
    """Writes Prometheus' text format for node_exporter's textfile collector; raises OSError."""
    data = exposition(feed, receipts).encode("utf-8", "backslashreplace")
    atomic.replace(path, data, mode=0o644, lasting=False)  # the next run writes them again


Sample = tuple[Mapping[str, str], float]  # labels and value


def exposition(feed: str, receipts: Sequence[Mapping[str, Any]]) -> str:
    """The metrics of a feed as text.

    https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    runs = [r for r in receipts if is_delivery(r)]
    last, sent = runs[-1:], [r for r in runs if r.get("outcome") == "sent"][-1:]
    green = [r for r in runs if r.get("outcome") in GREEN][-1:]
    families: list[tuple[str, str, list[Sample]]] = [
        (
            "last_run_timestamp_seconds",
            "End of the last delivery, good or not.",
            [({}, epoch(r["finished"])) for r in last],
        ),
        (
            "last_success_timestamp_seconds",
            "End of the last delivery that was in order: sent, or skipped by plan.",
            [({}, epoch(r["finished"])) for r in green],
        ),
        (
            "last_sent_timestamp_seconds",
            "End of the last delivery that the vendor got.",
            [({}, epoch(r["finished"])) for r in sent],
        ),
        (
            "exit_code",
            "Exit code of the last delivery.",
            [({}, r["exit_code"]) for r in last],
        ),
        (
            "outcome",
            "Outcome of the last delivery: one of them is 1.",
            [({"outcome": o}, r["outcome"] == o) for r in last for o in OUTCOMES],
        ),
        (
            "deliveries",
            "Deliveries by outcome among the receipts that are kept.",
            [({"outcome": o}, sum(r["outcome"] == o for r in runs)) for o in OUTCOMES if runs],
        ),
        (
            "phase_duration_seconds",
            "What the phases of the last delivery took.",
            [({"phase": p}, took) for r in last for p, took in r.get("seconds", {}).items()],
        ),
        (
            "package_bytes",
            "Size of the last package that the vendor got.",
            [({}, sent_file(r)["bytes"]) for r in sent],
        ),
        (
            "package_rows",
            "Rows of it by file.",
            [({"file": name}, count) for r in sent for name, count in r.get("rows", {}).items()],
        ),
        (
            "package_records",
            "Records of it by kind.",
            [({"kind": k}, c["now"]) for r in sent for k, c in r.get("changes", {}).items()],
        ),
        (
            "margin_seconds",
            "Time that was left to its deadline when it was in.",
            [({}, left) for r in sent if (left := seconds_left(r)) is not None],
        ),
    ]
    lines: list[str] = []
    for name, words, samples in families:
        if samples:
            lines += [f"# HELP roster_upload_{name} {words}", f"# TYPE roster_upload_{name} gauge"]
        for labels, value in samples:
            told = ",".join(f'{k}="{_escaped(v)}"' for k, v in {"feed": feed, **labels}.items())
            lines.append(f"roster_upload_{name}{{{told}}} {value:.15g}")
    return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
