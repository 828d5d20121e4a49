#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Fetch programs of Debian's testing that this Debian may not have yet, and install none: fetch_judges.sh FOLDER PACKAGE...
#
# FOLDER/bin has them then. apt verifies the packages, with lists and settings of its own, from the mirror that it uses here,
# which may lag behind.
set -eu
folder=$1
shift
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
if ! grep -q '^ID=debian$' /etc/os-release || [ ! -e "$keyring" ]; then
  echo "Only a Debian can fetch $* from Debian's testing." >&2
  exit 1
fi
# shellcheck disable=SC2016  # apt puts the mirror in
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
rm -rf "$folder"
mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial" "$folder/packages"
echo "deb [signed-by=$keyring] ${mirror:-http://deb.debian.org/debian} testing main" > "$folder/sources.list"
apt() {
  apt-get -qq -o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$folder/lists" \
    -o Dir::Cache="$folder/cache" -o Acquire::Languages=none -o APT::Sandbox::User= -o Acquire::Check-Valid-Until=false "$@"
}
apt update
cd "$folder/packages"
apt download "$@"
for package; do
  dpkg-deb --extract "$package"_*.deb "$folder/root"
done
for package; do
  # A program that needs a newer C library does not start here.
  "$folder/root/usr/bin/$package" version > /dev/null
done
ln -s root/usr/bin "$folder/bin"
rm -r "$folder/packages" "$folder/cache" "$folder/lists"
