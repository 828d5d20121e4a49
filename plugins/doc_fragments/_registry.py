# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that every module shares: which registries, how to reach them, and who we are there."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  registries:
    description:
      - Settings by registry, for tasks that deal with several, or as a default for a whole play.
      - An entry decides alone how its registry is reached. The options O(plain_http), O(validate_certs), O(ca_path),
        O(client_cert), and O(client_key) of the task apply only to registries that have no entry.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - The registry, as V(host) or V(host:port). Docker Hub is V(docker.io).
          - With a path behind it, as in V(quay.io/team), the entry is for the repositories below that path alone.
            Of several that fit, the longest is used.
        type: str
        required: true
      username:
        description: The user to log in as.
        type: str
      password:
        description: The password of O(registries[].username), or an access token that the registry takes as one.
        type: str
      identity_token:
        description: A refresh token, given to the registry's token server instead of a username and password.
        type: str
      registry_token:
        description: A bearer token, sent as it is, such as one from M(quayside.registry.oci_token_info).
        type: str
      trusted_hosts:
        description:
          - Hosts, as V(host), V(host:port), or a network such as V(10.0.0.0/8), where this registry's token server and
            storage may be although they are private or local. What a registry redirects to is otherwise refused there.
        type: list
        elements: str
        default: []
      plain_http:
        description: Like O(plain_http), for this registry.
        type: bool
      validate_certs:
        description: Like O(validate_certs), for this registry.
        type: bool
        default: true
      ca_path:
        description: Like O(ca_path), for this registry.
        type: path
      client_cert:
        description: Like O(client_cert), for this registry.
        type: path
      client_key:
        description: Like O(client_key), for this registry.
        type: path
  username:
    description:
      - The user to log in as, at the registry of the image that the task acts on, and at no other. Where a task has a
        source and a destination, that is the destination.
      - "The first of these that has credentials for a registry is used: its entry in O(registries); O(username) and
        O(password); the files of O(auth_file) and the helpers that they name; else access is anonymous."
      - Where both are empty, none is given. One that is empty alone is an error, as the task would go on as somebody
        else.
    type: str
  password:
    description: The password of O(username), or an access token that the registry takes as one.
    type: str
  auth_file:
    description:
      - The file with credentials, in the format that C(docker login), C(podman login), C(skopeo login), and
        C(crane auth login) write. No other file is read when this is set.
      - "Without it, these are searched for an entry for the registry, in this order: the file that
        E(REGISTRY_AUTH_FILE) names; C(containers/auth.json) in E(XDG_RUNTIME_DIR); C(containers/auth.json) in
        E(XDG_CONFIG_HOME) or C(~/.config); C(config.json) in E(DOCKER_CONFIG); C(~/.docker/config.json)."
      - Where a file names a credential helper for the registry, in C(credHelpers) or C(credsStore), the program
        C(docker-credential-NAME) is asked before the entry for the registry in the C(auths) of the same file is read.
        Entries for a path, such as V(quay.io/team), come before both.
    type: path
    aliases:
      - authfile
  plain_http:
    description:
      - Whether to use HTTP instead of HTTPS.
      - Without it, HTTP is used for V(localhost), V(127.0.0.0/8), and V([::1]), and HTTPS for everything else.
    type: bool
  validate_certs:
    description: Whether the registry's certificate must be valid. Set it to V(false) only for testing.
    type: bool
    default: true
  ca_path:
    description:
      - A file or folder with certificates (PEM) of authorities that may vouch for the registry, its token server and
        its storage, beside those that are trusted anyway.
      - In a folder with names as C(openssl rehash) makes them, only these count, else all files with certificates.
      - Trusted anyway are the ones that E(SSL_CERT_FILE) names, else the ones that E(REQUESTS_CA_BUNDLE) names, else
        those that the host trusts.
    type: path
  client_cert:
    description: The certificate (PEM) to identify ourselves with, for registries that want one.
    type: path
  client_key:
    description: The private key (PEM) of O(client_cert).
    type: path
  timeout:
    description:
      - How many seconds to wait for a connection, and for the next bytes on it.
      - It does not limit how long a transfer may take as a whole.
    type: int
    default: 60
  retries:
    description:
      - How often to try again after a broken connection, or an answer that says C(try later), such as 429 or 503.
      - The time that the registry asks for in C(Retry-After) is respected.
    type: int
    default: 3
  jobs:
    description: How many blobs, or requests, may be under way at once.
    type: int
    default: 4
requirements:
  - python >= 3.9
  - requests
notes:
  - The module runs on the target host, and uses its network, files, credentials, and environment. To use the
    controller's, set C(delegate_to=localhost), or C(connection=local) for the play.
  - "Image names follow Docker's rules: V(alpine) is V(docker.io/library/alpine:latest). Where a name has a tag and a
    digest, the digest decides."
  - A failed task returns RV(ignore:msg), RV(ignore:error_code) (the registry's, such as V(MANIFEST_UNKNOWN), or the
    collection's own, such as V(INVALID_REFERENCE)), RV(ignore:registry), RV(ignore:status), the HTTP status, and
    RV(ignore:transfer).
"""
