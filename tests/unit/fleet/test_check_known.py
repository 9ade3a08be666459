"""The known names come from the roles and playbooks."""

from __future__ import annotations

import re
from pathlib import Path

from roster_upload.spec import schema
from support import written

ROOT = Path(__file__).resolve().parents[3]


def test_every_key_of_a_feed_is_known_twice() -> None:
    known = written.names()
    for name, key in schema.keys().items():
        assert known.variables[f"roster_upload_{name}"].type == key.type
        assert known.variables["roster_upload_feeds"].parts[name].type == key.type


def test_every_role_and_playbook_is_known() -> None:
    known = written.names()
    assert known.variables["district_hardening_inbound_networks"].elements == "str"
    assert known.variables["roster_credentials_secrets"].no_log
    assert "roster_upload_resolved_feeds" in known.variables
    assert "rotate_new_password" in known.options
    assert "roster_common_rollback_timer" in known.variables
    assert known.renamed["roster_upload_user"] == "roster_upload_group"
    assert known.renamed["district_hardening_audit"] == "district_hardening_audit_enabled"
    assert {"roster_upload_", "sis_inbox_", "district_hardening_"} <= set(known.prefixes)


def test_every_fact_that_a_role_reads_is_declared() -> None:
    facts = {
        name
        for path in ROOT.glob("roles/*/defaults/main.yml")
        for name in re.findall(r"\bdistrict_(?!hardening_|hosts\b)\w+", path.read_text())
    }
    assert facts == {*written.names().facts}
