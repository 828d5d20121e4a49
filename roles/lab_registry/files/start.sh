#!/bin/sh
# Start an instance where no service manager runs: start.sh CONFIG LOG_FILE PID_FILE BINARY USER
set -eu
config=$1 log_file=$2 pid_file=$3 binary=$4 user=$5

rm -f "$pid_file" "$log_file"
# An empty environment, since the registry reads each variable REGISTRY_... as a setting, REGISTRY_AUTH_FILE among them.
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin start-stop-daemon --start --background --make-pidfile --pidfile "$pid_file" \
    --chuid "$user" --output "$log_file" --exec "$binary" -- serve "$config"
# The process is there before it is the registry; and it gives up at once where it cannot listen or read its settings.
tries=50
until /sbin/start-stop-daemon --status --pidfile "$pid_file" --exec "$binary"; do
    tries=$((tries - 1))
    if [ "$tries" = 0 ] || [ ! -e "/proc/$(cat "$pid_file")/exe" ]; then break; fi # a zombie has no exe
    sleep 0.1
done
sleep 0.1
/sbin/start-stop-daemon --status --pidfile "$pid_file" --exec "$binary"
