# Prints what the role has to know of a host before the first change, a line `WORD VALUE...` each.
# It runs as the account that logs in, and changes nothing. It needs neither Python nor sudo.
# The arguments are packages that the role may remove. A login shell's own files may print before.

echo
echo "begin"

connection=$SSH_CONNECTION
pid=$$
# sudo drops the variable. A process above still has it.
while [ -z "$connection" ] && [ "$pid" -gt 1 ]; do
  connection=$({ tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^SSH_CONNECTION=//p'; } 2>/dev/null)
  pid=$(sed -n 's/^PPid:[^0-9]*//p' "/proc/$pid/status" 2>/dev/null)
  pid=${pid:-1}
done
[ -n "$connection" ] && echo "connection $connection"

user=${SUDO_USER:-$(id -un)}
echo "user $user"
# As sshd asks for a new login. The groups of this session may be older.
id -Gnz "$user" 2>/dev/null | tr '\0' '\n' | sed 's/^/group /'
for release in /etc/os-release /usr/lib/os-release; do
  [ -e "$release" ] || continue
  sed -nE 's/^(ID|VERSION_ID|PRETTY_NAME)=/system &/p' "$release"
  break
done
command -v python3 >/dev/null && echo "has python3"

root=none
if [ "$(id -u)" = 0 ]; then
  root=
elif command -v sudo >/dev/null; then
  echo "has sudo"
  sudo -n true 2>/dev/null </dev/null && root="sudo -n"
fi
[ "$root" = none ] && root= || echo "has root"

dpkg-query --show --showformat 'package ${db:Status-Status} ${Package}\n' 2>/dev/null
for folder in /etc/ssh/*/; do
  [ -d "$folder" ] && echo "folder ${folder%/}"
done

# What move.yml has written: FOLDER/FEED, the state, the other host, the day.
for mark in /var/lib/roster-move/away/* /var/lib/roster-move/arrived/*; do
  [ -f "$mark" ] && echo "move ${mark#/var/lib/roster-move/} $(head -n 1 "$mark")"
done

# Packages that would go, with those that depend on them, and their services that run or listen.
for package; do
  [ -e "/var/lib/dpkg/info/$package.list" ] || continue
  for gone in "$package" $(apt-get --simulate purge "$package" 2>/dev/null | sed -nE 's/^(Remv|Purg) ([^ ]+).*/\2/p'); do
    sed -nE -e 's,^(/usr)?/lib/systemd/system/([^/]+\.(service|socket))$,\2,p' \
      -e 's,^/etc/init\.d/(.+)$,\1.service,p' "/var/lib/dpkg/info/$gone.list" "/var/lib/dpkg/info/$gone":*.list 2>/dev/null
  done | sed 's/@\./@*./' | sort -u | xargs -r systemctl list-units --plain --no-legend --state=running,listening 2>/dev/null |
    while read -r unit _; do echo "used $package $unit"; done
done

if [ -e /etc/district-firewall.json ]; then echo "has firewall"; fi
if [ -e /dev/tpmrm0 ]; then echo "has tpm"; fi
# Only root sees the names of the programs.
$root ss -Hltunp 2>/dev/null | sed 's/^/socket /'
echo "end"
