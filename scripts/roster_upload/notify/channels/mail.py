"""The mail: an event as plain text, by SMTP."""

from __future__ import annotations

import email.message
import email.utils
import smtplib
import socket
import ssl
from pathlib import Path

from roster_upload.config import Feed
from roster_upload.exits import Exit
from roster_upload.notify.channels.channel import CHANNEL_SECONDS, Channel, Trouble, secret_of
from roster_upload.notify.events import SUBJECTS, action
from roster_upload.records.night import night_name, time_text
from roster_upload.records.receipt import Receipt
from roster_upload.records.summary import finding_texts, next_step
from roster_upload.spec import spec
from roster_upload.terminal.printable import printable_lines


def channel(feed: Feed, kind: str, receipt: Receipt, secrets: Path | None) -> Channel | None:
    """Return the mail of an event. None without a recipient."""
    if not feed.mail_to:
        return None
    return Channel(
        "mail", feed.smtp_host, lambda: _send(feed, message_of(feed, kind, receipt), secrets)
    )


def message_of(feed: Feed, kind: str, receipt: Receipt) -> email.message.EmailMessage:
    """Return the mail of an event."""
    texts = spec("exits").get(str(receipt.exit_code), {})
    is_rehearsal = receipt.command == "rehearse"
    message = email.message.EmailMessage()
    message["Subject"] = SUBJECTS["rehearsal" if is_rehearsal else kind].format(
        district=feed.district
    )
    message["From"], message["To"] = feed.mail_from, ", ".join(feed.mail_to)
    message["Date"] = email.utils.localtime()
    message["Message-ID"] = email.utils.make_msgid(domain=feed.mail_from.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    lines = [receipt.message]
    if kind == "findings":
        who = spec("exits")[str(int(Exit.REFUSED))]["who"]
        lines += ["", f"Who must act: {who}", f"Next step: {action(kind, receipt)}"]
    elif kind != "recovery":
        lines += [
            "",
            f"Cause: {texts.get('cause', 'unknown')}",
            f"Who must act: {texts.get('who', 'unknown')}",
            f"Next step: {next_step(receipt)}",
            *(f"- {reason}" for reason in receipt.reasons),
        ]
    lines += [f"- {text}" for text in finding_texts(receipt)]
    lines += [
        "",
        f"Feed: {feed.feed} on {socket.gethostname()}",
        *_times(feed, receipt),
    ]
    message.set_content(printable_lines("\n".join(lines)))
    return message


def _times(feed: Feed, receipt: Receipt) -> list[str]:
    """Return the lines of a receipt's night and time."""
    lines = [f"Time: {time_text(receipt.finished, feed.time_zone)}"]
    if receipt.night and receipt.deadline:
        name = night_name(receipt.night).removeprefix("the night of ")
        lines.insert(0, f"Night: {name}, deadline {time_text(receipt.deadline, feed.time_zone)}")
    return lines


def _send(feed: Feed, message: email.message.EmailMessage, secrets: Path | None) -> None:
    """Send a mail. Raise Trouble, or an error of a library."""
    password = secret_of(feed, "smtp", secrets) if feed.smtp_username else ""
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
        raise Trouble(f"{feed.smtp_host} refused {len(refused)} of the recipients")
