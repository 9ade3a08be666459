"""Fetch an export from the SIS's SFTP server."""
