#!/bin/sh
# Make a CA and, signed by it, a certificate for localhost in the folder: certificates.sh FOLDER
set -eu
cd "$1"
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
# shellcheck disable=SC2086
openssl req -x509 $key -days 2 -subj "/CN=Test CA" -addext "keyUsage=critical,keyCertSign,cRLSign" -keyout ca.key -out ca.pem
# shellcheck disable=SC2086
openssl req $key -subj "/CN=localhost" -keyout server.key -out server.csr
printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' >server.ext
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext -out server.pem
# The registry runs as another user.
chmod 711 .
chmod 644 server.key server.pem ca.pem
