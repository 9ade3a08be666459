"""The way to the vendor's server: SSH connection, SFTP requests, the upload itself."""
