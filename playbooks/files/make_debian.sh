#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Make the root file systems of the tour in FOLDER: make_debian.sh FOLDER MIRROR
#
#   debian-12.tar   a small Debian 12, as debootstrap installs it
#   web.tar         what installing a web server changes in it
#   debian-13.tar   a small Debian 13, onto which that image is rebased
set -eu
mkdir -p "$1"
cd "$1"
mirror=$2
work=$(mktemp -d)
# Where sudo does this, too, the folder's files are its owner's.
trap 'chown -R --reference=. .; rm -rf "$work"' EXIT

install() { # RELEASE FOLDER
  debootstrap --variant=minbase --include=ca-certificates "$1" "$2" "$mirror" > "$1.log" 2>&1
  rm -rf "$2"/var/cache/apt/archives/*.deb "$2"/var/lib/apt/lists/*
}

pack() { # FOLDER TAR [OPTION...]
  folder=$1 tar=$2
  shift 2
  tar --sort=name --numeric-owner --one-file-system -C "$folder" -cf "$tar.part" "$@"
  mv "$tar.part" "$tar"
}

{ install trixie "$work/13" && pack "$work/13" debian-13.tar .; } &
install bookworm "$work/12"
pack "$work/12" debian-12.tar .

# Services are not started while packages are installed, and nothing of apt's own is kept.
printf '#!/bin/sh\nexit 101\n' > "$work/12/usr/sbin/policy-rc.d"
chmod 755 "$work/12/usr/sbin/policy-rc.d"
touch "$work/stamp"
{
  chroot "$work/12" apt-get -q update
  chroot "$work/12" env DEBIAN_FRONTEND=noninteractive apt-get -q install --yes --no-install-recommends nginx-light
  chroot "$work/12" apt-get clean
} > web.log 2>&1
rm -rf "$work/12"/var/lib/apt/lists/* "$work/12/usr/sbin/policy-rc.d"
(cd "$work/12" && find . -xdev -cnewer "$work/stamp" ! -path './tmp/*' ! -path './var/cache/apt/*' -print0 | LC_ALL=C sort -z) > "$work/list"
pack "$work/12" web.tar --null --no-recursion --files-from="$work/list"
wait $!
