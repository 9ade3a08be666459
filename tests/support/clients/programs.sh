# Let a command-line client put a file, get it back and remove it.
# programs.sh CLIENT, then for each target:
# NAME ADDRESS PORT USER FOLDER AUTH (key or password) FINGERPRINTS
client=$1
shift

# OpenSSH's sftp speaks through another program, which starts the subsystem.
through() {
    cat > "$HOME/through" <<END
#!/bin/sh
exec $*
END
    chmod 700 "$HOME/through"
    sftp -q -b "$HOME/batch" -S "$HOME/through" -P "$port" "$user@$address"
}

transfer() {
    printf 'put %s\nget %s %s.back\nrm %s\n' "sent $file" "$file" "$name" "$file" > "$HOME/batch"
    case $client in
    openssh | openssh-windows)
        algorithms=
        if test "$client" = openssh-windows; then algorithms=-F$KEYS/windows; fi
        only=publickey
        if test "$auth" = password; then only=password; fi
        SSH_ASKPASS=$KEYS/askpass SSH_ASKPASS_REQUIRE=force sftp -q $algorithms -oBatchMode=no \
            -oPreferredAuthentications=$only -oUserKnownHostsFile="$KEYS/known_hosts" \
            -i "$KEYS/key" -P "$port" -b "$HOME/batch" "$user@$address"
        ;;
    psftp)
        login="-i $KEYS/key.ppk"
        if test "$auth" = password; then login="-pwfile $KEYS/password"; fi
        for one in $(echo "$fingerprint" | tr , ' '); do login="$login -hostkey $one"; done
        psftp -batch -b "$HOME/batch" $login -P "$port" "$user@$address"
        ;;
    dbclient)
        login="-i $KEYS/key.dropbear"
        if test "$auth" = password; then login=; fi
        DROPBEAR_PASSWORD=$(cat "$KEYS/password") through dbclient $login -p "$port" "$user@$address" -s sftp
        ;;
    lftp)
        word=
        if test "$auth" = password; then word=$(cat "$KEYS/password"); fi
        lftp -c "set net:max-retries 1; set cmd:fail-exit yes
            set sftp:connect-program 'ssh -a -x -i $KEYS/key -oUserKnownHostsFile=$KEYS/known_hosts'
            open -u '$user,$word' -p $port sftp://$address
            put sent -o $file; get $file -o $name.back; rm $file"
        ;;
    curl)
        url=sftp://$address:$port$file
        login="--user $user: --key $KEYS/key --pubkey $KEYS/key.pub"
        if test "$auth" = password; then
            printf 'user = "%s:%s"\n' "$user" "$(sed 's/["\\]/\\&/g' "$KEYS/password")" > "$HOME/curlrc"
            login="-K $HOME/curlrc"
        fi
        # It takes one fingerprint. libssh2 prefers ECDSA, which is the last one if it is offered.
        fingerprint=${fingerprint##*,}
        set -- -sS $login --hostpubsha256 "${fingerprint#SHA256:}"
        curl "$@" -T sent "$url" && curl "$@" -o "$name.back" "$url" && curl "$@" -Q "-rm $file" -o /dev/null "$url"
        ;;
    esac
}

while test $# -gt 0; do
    name=$1 address=$2 port=$3 user=$4 folder=$5 auth=$6 fingerprint=$7
    shift 7
    file=$folder/t-$(basename "$HOME")
    transfer < /dev/null 2>&1 | sed "s/^/$name: /"
done
