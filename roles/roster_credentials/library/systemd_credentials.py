#!/usr/bin/python3
"""Ansible module: keep secrets on a host as systemd credentials, encrypted at rest."""

from __future__ import annotations

DOCUMENTATION = r"""
module: systemd_credentials
short_description: Keep secrets on a host as systemd credentials, encrypted at rest
description:
  - Encrypts each secret with C(systemd-creds). Only the host with the key can read it, and there
    only a unit that loads it by the same name.
  - An encrypted file differs every time it is written. So the module decrypts and compares the
    existing file. It writes a new one only if the secret, its name, the host's key or the kind of
    seal has changed.
  - A TPM binds the secrets to none of its PCRs. PCR 7, the default of C(systemd-creds), changes
    with each update of Secure Boot's certificates, and would then lock all secrets.
  - C(systemd-creds) reads secrets from standard input. They are never an argument, an environment
    variable, an unencrypted file or a part of the result.
options:
  credentials:
    description: The credentials to keep.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The credential's name, which is authenticated with the secret.
        type: str
        required: true
      path:
        description: Absolute path of the encrypted file.
        type: path
        required: true
      secret:
        description: The secret. Each byte of its UTF-8 text is kept.
        type: str
        no_log: true
      accept:
        description: Other secrets that an existing credential may hold. It then stays as it is.
        type: list
        elements: str
        no_log: true
        default: []
      since:
        description:
          - The day (C(YYYY-MM-DD)) since which O(credentials[].secret) is in use. It becomes the
            file's time of modification, so that the age is also right on a new host.
        type: str
        default: ""
      newer_only:
        description:
          - Whether a different secret on the host is overwritten only if O(credentials[].since) is
            later. An older one comes from an outdated inventory.
        type: bool
        default: false
      generate:
        description:
          - Instead of O(credentials[].secret), the host generates random C(bytes) or an C(ssh_key)
            if it has no such credential.
          - An existing file that cannot be decrypted is only replaced with O(replace_lost). A
            password in the place of a key stays.
        type: str
        choices: [bytes, ssh_key]
      source:
        description:
          - Another credential on the same host, by C(name) and C(path). Its secret is copied.
          - With C(digest), its encrypted file must be the one that an earlier RV(digests) named.
          - With O(credentials[].secret), it must hold that secret.
        type: dict
      lock:
        description:
          - The lock of the feed's rotation. While somebody holds it, the credential is not changed.
            A rotation sets O(lock) and O(holder) instead.
        type: path
      state:
        description: Whether the credential should exist.
        type: str
        choices: [present, absent]
        default: present
  with_key:
    description: The key that encrypts the secrets, as C(systemd-creds --with-key) takes it.
    type: str
    choices: [auto, host, tpm2, host+tpm2]
    default: auto
  replace_lost:
    description:
      - Whether the host generates a new secret in the place of one that it can no longer decrypt.
        The old file stays beside it, hidden, as C(.NAME.lost).
    type: bool
    default: false
  lock:
    description:
      - A lock file, which the module takes for O(holder) first. The lock expires a quarter of an
        hour after the last call, and when the host restarts.
    type: path
  holder:
    description:
      - The run that takes O(lock). C(token) is the same in all calls of one run. C(who) is a name
        for others to read. C(gone) is the token of a run that ended without releasing the lock.
    type: dict
  release:
    description: Whether to release O(lock) at the end.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: The Roster Delivery authors
"""

EXAMPLES = r"""
- name: Keep a feed's password
  systemd_credentials:
    credentials:
      - name: alder_current
        path: /etc/roster-upload/credentials/alder/current
        secret: "{{ vault_password }}"
  no_log: true
"""

RETURN = r"""
changed_names:
  description: The names of the credentials that were, or in check mode would be, written.
  type: list
  elements: str
  returned: always, also with a failure
held:
  description:
    - The former content, by name - C(wanted), C(accepted), C(other) or C(nothing). C(other) also
      stands for a file that cannot be decrypted.
  type: dict
  returned: always
written:
  description: The day (C(YYYY-MM-DD)) of the former content, by name.
  type: dict
  returned: always
digests:
  description: The SHA-256 of the encrypted file, by name. It differs each time it is written.
  type: dict
  returned: always
lock:
  description: The holder of the lock - C(token), C(who), C(since).
  type: dict
  returned: if somebody else holds the lock
lost:
  description: The names of generated credentials that the host can no longer decrypt.
  type: list
  elements: str
  returned: always
public_keys:
  description: The public keys of the SSH keys that the host generated, by name.
  type: dict
  returned: always
"""

from ansible.module_utils import credential_store
from ansible.module_utils.basic import AnsibleModule


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "credentials": {"required": True, **credential_store.OPTIONS},
            "replace_lost": {"type": "bool", "default": False},
            "lock": {"type": "path"},
            "holder": {"type": "dict"},
            "release": {"type": "bool", "default": False},
            "with_key": {"type": "str", "choices": credential_store.KEYS, "default": "auto"},
        },
        required_together=[["lock", "holder"]],
        supports_check_mode=True,
    )
    result = credential_store.see_to(module.params, module.check_mode)
    if "msg" in result:
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
