#!/bin/sh
# Build and push base:1, base:2 and app:1, which is built on base:1: build.sh FOLDER REGISTRY PYTHON ROOTFS
set -eu
cd "$1"
registry=$2

b() {
    buildah --root "$PWD/root" --runroot "$PWD/run" --storage-driver vfs "$@"
}

for version in 1 2; do
    "$3" "$4" "rootfs-$version.tar" "$version"
    container=$(b from scratch)
    b add --quiet "$container" "rootfs-$version.tar" /
    b config --env BASE=$version --cmd /bin/cat "$container"
    b commit --quiet "$container" "$registry/base/os:$version"
    b push --quiet --tls-verify=false "$registry/base/os:$version"
done
echo "hello from the app" >greeting
container=$(b from --quiet "$registry/base/os:1")
b add --quiet "$container" greeting /app/greeting
b config --env APP=yes --label team=web --entrypoint '["/bin/cat"]' --cmd /app/greeting "$container"
b commit --quiet "$container" "$registry/team/app:1"
b push --quiet --tls-verify=false "$registry/team/app:1"
