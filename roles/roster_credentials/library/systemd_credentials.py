#!/usr/bin/python3
"""Ansible module: keep secrets on a host as systemd credentials, encrypted at rest."""

from __future__ import annotations

DOCUMENTATION = r"""
module: systemd_credentials
short_description: Keep secrets on a host as systemd credentials, encrypted at rest
description:
  - Encrypts each secret with C(systemd-creds), so that only the host that holds the key, and there
    only a unit that loads it by the same name, can read it.
  - An encrypted file differs every time it is made. So the present one is decrypted and compared,
    and written anew only where the secret, its name or the host's key has changed.
  - Secrets reach C(systemd-creds) by standard input; they are never an argument, an environment
    variable, a file in the clear or a part of the result.
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
        description:
          - The secret, kept to the byte (UTF-8).
          - Without it the credential is a key that the host makes for itself, once; a present one
            that can be decrypted stays.
        type: str
        no_log: true
  with_key:
    description: What to encrypt with, as C(systemd-creds --with-key) takes it.
    type: str
    choices: [auto, host, tpm2, host+tpm2]
    default: auto
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: The project's maintainers
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
  returned: always
"""

import os
import stat
import subprocess
import tempfile

from ansible.module_utils.basic import AnsibleModule

MODE = 0o600
KEY_BYTES = 32


def systemd_creds(arguments, given=b""):
    """Runs systemd-creds; returns (exit code, standard output, standard error) as int and bytes."""
    # Not module.run_command: that decodes, and a secret need not be decodable text.
    done = subprocess.run(
        ["systemd-creds", *arguments], input=given, capture_output=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def is_current(credential, secret):
    """Whether the file holds this secret (None: any) under this name, for root alone."""
    try:
        now = os.lstat(credential["path"])
    except OSError:
        return False
    if not stat.S_ISREG(now.st_mode) or stat.S_IMODE(now.st_mode) != MODE or now.st_uid != 0:
        return False
    code, held, _ = systemd_creds(
        ["decrypt", "--name=" + credential["name"], credential["path"], "-"]
    )
    return code == 0 and secret in (held, None)


def write(module, credential, secret):
    name, key = credential["name"], module.params["with_key"]
    code, sealed, error = systemd_creds(
        ["encrypt", f"--name={name}", f"--with-key={key}", "-", "-"], secret
    )
    if code != 0:
        module.fail_json(
            msg="systemd-creds could not encrypt the credential %s: %s"
            % (credential["name"], error.decode("utf-8", "replace").strip())
        )
    folder = os.path.dirname(credential["path"])
    if not os.path.isdir(folder):
        module.fail_json(msg="there is no directory %s for the credential" % folder)
    handle, temporary = tempfile.mkstemp()  # mode 0600, encrypted content only
    with os.fdopen(handle, "wb") as new:
        new.write(sealed)
    module.atomic_move(temporary, credential["path"])
    os.chown(credential["path"], 0, 0)
    os.chmod(credential["path"], MODE)


def main():
    module = AnsibleModule(
        argument_spec={
            "credentials": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "path": {"type": "path", "required": True},
                    "secret": {"type": "str", "no_log": True},
                },
            },
            "with_key": {
                "type": "str",
                "choices": ["auto", "host", "tpm2", "host+tpm2"],
                "default": "auto",
            },
        },
        supports_check_mode=True,
    )
    changed_names = []
    for credential in module.params["credentials"]:
        secret = credential["secret"] and credential["secret"].encode("utf-8")
        if is_current(credential, secret):
            continue
        changed_names.append(credential["name"])
        if not module.check_mode:
            write(module, credential, secret or os.urandom(KEY_BYTES))
    module.exit_json(changed=bool(changed_names), changed_names=changed_names)


if __name__ == "__main__":
    main()
