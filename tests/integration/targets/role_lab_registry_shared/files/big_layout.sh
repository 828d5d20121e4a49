#!/bin/sh
# Make an OCI layout with an image of two layers that cannot be compressed: big_layout.sh FOLDER MEBIBYTES
set -eu
cd "$1"
umoci init --layout big
umoci new --image big:1
for number in 1 2; do
    head --bytes "$2M" /dev/urandom >"noise-$number"
    tar --create --file "layer-$number.tar" "noise-$number"
    umoci raw add-layer --image big:1 "layer-$number.tar"
    rm "noise-$number" "layer-$number.tar"
done
