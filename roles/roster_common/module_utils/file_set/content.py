"""Contents of files: what an entry asks for, and how a diff shows it."""

from __future__ import annotations

import base64
import hashlib
import re

from ansible.module_utils.file_set.host import EntryError, current_state, read, read_original


def edited(text, edits):
    """Return a text with some of its lines replaced, removed or added."""
    lines = text.splitlines()
    for edit in edits:
        found = [n for n, line in enumerate(lines) if re.search(edit["match"], line)]
        if edit["line"] is not None:
            if found:
                lines[found.pop(0)] = edit["line"]
            else:
                lines.append(edit["line"])
        lines = [line for n, line in enumerate(lines) if n not in set(found)]
    return "".join(line + "\n" for line in lines)


def wanted_content(entry):
    """Return the bytes that a file is to hold. Raise EntryError if the entry names none."""
    if entry["content"] is not None:
        return entry["content"].encode("utf-8")
    if entry["content_base64"] is not None:
        return base64.b64decode(entry["content_base64"])
    if entry["edits"] is not None:
        return edited(read_original(entry["path"]), entry["edits"]).encode("utf-8")
    raise EntryError(entry["path"], "a file needs a content")


def differs(path, content):
    """Return whether a file must be written. Raise EntryError if the path is something else."""
    state = current_state(path)
    if state not in ("file", "absent"):
        raise EntryError(path, "is a %s, not a file" % state)
    return state == "absent" or read(path) != content


def as_shown(content):
    """Return a content as a diff shows it: a text as it is, else its size and hash."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return "%d bytes, SHA-256 %s\n" % (len(content), hashlib.sha256(content).hexdigest())
