"""Validates a school district's roster export and delivers it over SFTP, with proof."""

__version__ = "0.2.0"
