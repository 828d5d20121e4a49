#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Install Debian packages, and let none of them start a service: install_packages.sh PACKAGE...
#
# docker-registry would otherwise listen on port 5000 of every address, now and after each start of the machine.
set -eu
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt() { apt-get -o DPkg::Lock::Timeout=300 -qq "$@"; }
apt update
apt install --yes --no-install-recommends "$@"
for package; do
  if [ "$package" = docker-registry ]; then update-rc.d docker-registry disable; fi
done
