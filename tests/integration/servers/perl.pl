# Net::SFTP::SftpServer, with all requests allowed.
use strict;
use warnings;
use Net::SFTP::SftpServer;

Net::SFTP::SftpServer->new(home => "$ENV{HOME}/files", file_perms => 0644, dir_perms => 0755)->run();
