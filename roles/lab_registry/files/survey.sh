#!/bin/sh
# Tell in one round trip, as JSON, what the role must know of the host and of the instance.
# Usage: survey.sh UNIT FOLDER LOG_FILE PID_FILE UNIT_FILE DATA BINARY USER PORT
set -u
unit=$1 folder=$2 log_file=$3 pid_file=$4 unit_file=$5 data=$6 binary=$7 user=$8 port=$9
config=$folder/config.yml

truth() {
    if "$@" >/dev/null 2>&1; then echo true; else echo false; fi
}

# A PID may have gone to another process, or to another instance: the command line tells. That of a zombie is empty.
serves() {
    [ -r "$pid_file" ] && tr '\0' ' ' <"/proc/$(cat "$pid_file")/cmdline" | grep -qF " serve $config "
}

# State 0A is LISTEN. The address is left out: this is only a hint that a connection is worth trying.
listens() {
    grep -qE ":$(printf '%04X' "$port") [0-9A-F]+:0000 0A " /proc/net/tcp /proc/net/tcp6
}

# Whatever starts an instance makes this anew, so its age is that of the running process.
older_than_files() {
    [ -n "$(find "$config" "$unit_file" -newer "$1" 2>/dev/null)" ]
}

debian() {
    case " ${ID-} ${ID_LIKE-} " in *" debian "*) ;; *) false ;; esac
}

ID=unknown
# shellcheck source=/dev/null
[ -r /etc/os-release ] && . /etc/os-release

systemd=$(truth test -d /run/systemd/system)
if [ "$systemd" = true ]; then
    running=$(truth systemctl is-active --quiet "$unit.service")
    started=/run/$unit
else
    running=$(truth serves)
    started=$pid_file
fi
there=
for path in "$folder" "$log_file" "$unit_file" "$data" "$pid_file"; do
    if [ -e "$path" ]; then there="$there${there:+, }\"$path\""; fi
done

cat <<JSON
{
  "uid": $(id -u),
  "os": "$ID",
  "debian": $(truth debian),
  "systemd": $systemd,
  "binary": $(truth test -x "$binary"),
  "user": $(truth id "$user"),
  "running": $running,
  "stale": $(truth older_than_files "$started"),
  "same_port": $(truth grep -qx "# port $port" "$config"),
  "port_listens": $(truth listens),
  "there": [$there]
}
JSON
