"""Transfer to the vendor's server: SSH connection, SFTP requests and upload."""
