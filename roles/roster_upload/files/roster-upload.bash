# Completion of roster-upload for bash. Edit scripts/dev/manual, which makes it from the parser.
# generated: completion
_roster_upload() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local folder=/etc/roster-upload command='' options='' words='' kind='' word i feed
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
            --config-dir)
                [[ ${COMP_WORDS[i+1]} == '=' ]] && ((i++))
                folder=${COMP_WORDS[i+1]}
                ((i++)) ;;
            --state-dir) ((i++)) ;;
            check-config|check|compare|diff|send|rehearse|resend|approve|probe|login|verify|forget|watch|alarm|notify|status|history|report|explain)
                command=$word
                break ;;
        esac
    done
    [[ $prev == '=' ]] && prev=${COMP_WORDS[COMP_CWORD-2]}
    [[ $cur == '=' ]] && cur=''
    case $command in
        '')
            options='--help --version --config-dir --state-dir'
            words='check-config check compare diff send rehearse resend approve probe login verify forget watch alarm notify status history report explain'
            case $prev in
                --config-dir) kind=files ;;
                --state-dir) kind=files ;;
            esac
            ;;
        check-config)
            options='--help'
            kind=files
            ;;
        check)
            options='--help --file --format --json'
            kind=feeds
            case $prev in
                --file) kind=files ;;
                --format) kind='' words='oneroster-1.1 traditional-literacy traditional-math other' options='' ;;
            esac
            ;;
        compare)
            options='--help --night --config --json'
            kind=files
            case $prev in
                --night) kind=text ;;
                --config) kind=files ;;
            esac
            ;;
        diff)
            options='--help --school --kind'
            kind=feeds
            case $prev in
                --school) kind=text ;;
                --kind) kind=text ;;
            esac
            ;;
        send)
            options='--help'
            kind=feeds
            ;;
        rehearse)
            options='--help'
            kind=feeds
            ;;
        resend)
            options='--help --last-good --digest'
            kind=feeds
            case $prev in
                --digest) kind=text ;;
            esac
            ;;
        approve)
            options='--help --digest --reason --check --json'
            kind=feeds
            case $prev in
                --digest) kind=text ;;
                --reason) kind=text ;;
            esac
            ;;
        probe)
            options='--help --json'
            kind=feeds
            ;;
        login)
            options='--help --slot --source --json'
            kind=feeds
            case $prev in
                --slot) kind='' words='current pending' options='' ;;
            esac
            ;;
        verify)
            options='--help --without-login --json'
            kind=feeds
            ;;
        forget)
            options='--help'
            kind=feeds
            ;;
        watch)
            options='--help'
            kind=feeds
            ;;
        alarm)
            options='--help'
            kind=feeds
            ;;
        notify)
            options='--help'
            kind=feeds
            ;;
        status)
            options='--help --json'
            kind=feeds
            ;;
        history)
            options='--help --nights --json'
            kind=feeds
            case $prev in
                --nights) kind=text ;;
            esac
            ;;
        report)
            options='--help --nights --json'
            case $prev in
                --nights) kind=text ;;
            esac
            ;;
        explain)
            options='--help --json'
            kind=feeds
            words='0 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 70'
            ;;
    esac
    case $kind in
        feeds)
            for feed in "$folder"/*.toml; do
                feed=${feed##*/} feed=${feed%.toml}
                [[ $feed =~ ^[a-z0-9-]+$ ]] && words+=" $feed"
            done ;;
        files)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return ;;
        text)
            return ;;
    esac
    [[ $cur == -* ]] && words=$options
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _roster_upload roster-upload
# end
