"""The lab: district hosts and a vendor's SFTP server in containers. scripts/lab starts it."""
