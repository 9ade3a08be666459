#!/bin/sh
# Starts the servers of test_servers.py, each for a user of its own.
# Runs in a container that has them: /vendor is the test's folder, /servers this one.
set -eu
export LC_ALL=C.UTF-8
. /vendor/settings # PASSWORD, and a port for each server: PORT_erlang, …

for folder in /vendor/*/files; do
    home=${folder%/files}
    name=${home#/vendor/}
    case $name in
        mysecureshell) shell=/usr/bin/mysecureshell ;;
        *) shell=/bin/sh ;;
    esac
    case $name in
        perl) ;; # its root is a folder in its home
        *) home=$folder ;;
    esac
    useradd --no-create-home --home-dir "$home" --shell "$shell" "s-$name"
    echo "s-$name:$PASSWORD" | chpasswd
    chown -R "s-$name:" "/vendor/$name"
done
install -m 0644 /servers/sftp_config /etc/ssh/sftp_config
install -d /run/sshd
install -m 0644 /vendor/host_key /vendor/ssh_host_ecdsa_key # for those that are not root
install -m 0644 /vendor/host_key.pub /vendor/ssh_host_ecdsa_key.pub
chmod 0755 /vendor

as() { # USER COMMAND...: in the user's folder, in the background
    user=$1
    shift
    (
        cd "/vendor/$user/files"
        exec env HOME="/vendor/$user" setpriv --reuid="s-$user" --regid="s-$user" --clear-groups "$@"
    ) > "/vendor/$user/log" 2>&1 &
}

as erlang escript /servers/erlang.escript "$PORT_erlang" s-erlang "$PASSWORD"
as paramiko python3 /servers/paramiko_server.py "$PORT_paramiko" s-paramiko "$PASSWORD"
as asyncssh python3 /servers/asyncssh_server.py "$PORT_asyncssh" s-asyncssh "$PASSWORD"
as rclone rclone serve sftp . --addr "127.0.0.1:$PORT_rclone" --key /vendor/ssh_host_ecdsa_key \
    --user s-rclone --pass "$PASSWORD" --config /dev/null --dir-cache-time 0
as mina /usr/lib/jvm/java-21-openjdk-*/bin/java -XX:TieredStopAtLevel=1 -Xshare:auto \
    -cp "$(printf '/usr/share/java/%s.jar:' bsh slf4j-api sshd-common sshd-core sshd-sftp)" \
    bsh.Interpreter /servers/mina.bsh "$PORT_mina" s-mina "$PASSWORD"

# These servers log in users of the system.
python3 /servers/twisted_server.py "$PORT_twisted" s-twisted "$PASSWORD" > /vendor/twisted/log 2>&1 &
dropbearconvert openssh dropbear /vendor/host_key /vendor/dropbear/key
dropbear -F -E -m -r /vendor/dropbear/key -p "127.0.0.1:$PORT_dropbear" -P /vendor/dropbear/pid \
    > /vendor/dropbear/log 2>&1 &
for name in openssh greenend perl mysecureshell; do
    port=$(eval "echo \$PORT_$name")
    /usr/sbin/sshd -D -e -f /servers/sshd_config -h /vendor/host_key \
        -o ListenAddress="127.0.0.1:$port" > "/vendor/$name/log" 2>&1 &
done
uid=$(id -u s-proftpd)
hash=$(printf %s "$PASSWORD" | openssl passwd -6 -stdin)
printf 's-proftpd:%s:%s:%s::/vendor/proftpd/files:/bin/false\n' "$hash" "$uid" "$uid" \
    > /vendor/proftpd/users
chmod 0600 /vendor/proftpd/users
PORT=$PORT_proftpd proftpd -n -c /servers/proftpd.conf > /vendor/proftpd/log 2>&1 &
tinysshd-makekey -q /vendor/tinyssh/keys
python3 /servers/inetd.py "$PORT_tinyssh" tinysshd /vendor/tinyssh/keys > /vendor/tinyssh/log 2>&1 &

trap 'exit 0' TERM
wait
