"""The people behind a server, as messages name them: the vendor's, or the SIS's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Contact:
    """The people to ask about a server, and the words for its login and its settings."""

    name: str  # "ask NAME", as in the middle of a sentence
    new_account: str  # a hint after a refused login
    new_session: str  # a hint after a refused session
    new_password: str  # advice for an expired password
    prefix: str  # of the feed's keys about this server
    host_key: str  # the key of its name

    @property
    def at_start(self) -> str:
        """Return the name at the beginning of a sentence."""
        return self.name[:1].upper() + self.name[1:]


VENDOR = Contact(
    name="the vendor",
    new_account="A new account cannot log in until its password has been reset through the link in "
    "Imagine Learning's e-mail",
    new_session="If the account is new, its password may have to be reset first through the link "
    "in the vendor's e-mail",
    new_password="Set one through the vendor's reset link and install it with "  # noqa: S106
    "rotate_credentials.yml",
    prefix="",
    host_key="remote_host",
)
SIS = Contact(
    name="the administrator of the SIS's server",
    new_account="Compare the user name and the secret with those of the SIS's server",
    new_session="Ask the administrator of the SIS's server whether this account may use SFTP",
    new_password="Set one on the SIS's server and install it with "  # noqa: S106
    "rotate_credentials.yml",
    prefix="source_",
    host_key="source",
)
