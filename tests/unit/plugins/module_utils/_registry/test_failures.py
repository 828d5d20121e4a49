# SPDX-License-Identifier: GPL-3.0-or-later
"""Broken connections: what is said, and whether another try can help."""

from __future__ import annotations

import socket
import ssl

import pytest
import requests
import urllib3
from ansible_collections.quayside.registry.plugins.module_utils._registry.failures import failure
from requests.exceptions import ConnectionError as Broken

URL = "https://q.io/v2/"


def caused(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__cause__ = inner
    return outer


def pooled(kind: type[Exception], reason: BaseException) -> Exception:
    """Wrap a reason as requests does: in its own error, inside urllib3's."""
    return kind(urllib3.exceptions.MaxRetryError(None, "/v2/", reason))


def tls(text: str, kind: type[ssl.SSLError] = ssl.SSLError) -> Exception:
    return pooled(requests.exceptions.SSLError, urllib3.exceptions.SSLError(kind(1, text)))


VERIFY = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: %s (_ssl.c:1000)"
UNRESOLVED = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
PROXY = urllib3.exceptions.ProxyError("Unable to connect to proxy", UNRESOLVED)

# the exception, code, final, a word of the message
CASES = [
    (tls(VERIFY % "self-signed certificate"), "TLS_ERROR", True, "ca_path"),
    (tls(VERIFY % "unable to get local issuer certificate"), "TLS_ERROR", True, "ca_path"),
    (tls(VERIFY % "certificate has expired"), "TLS_ERROR", True, "has expired; renew it"),
    (tls(VERIFY % "Hostname mismatch, certificate is not valid for 'q.io'."), "TLS_ERROR", True, "name"),
    (tls(VERIFY % "IP address mismatch"), "TLS_ERROR", True, "name"),
    (ssl.CertificateError("hostname 'q.io' doesn't match 'x.io'"), "TLS_ERROR", True, "name"),
    (tls(VERIFY % "certificate is not yet valid"), "TLS_ERROR", True, "correct the clock"),
    (tls(VERIFY % "CA cert does not include key usage extension"), "TLS_ERROR", True, "(ca cert does not include key"),
    (tls(VERIFY % "CA cert does not include key usage extension"), "TLS_ERROR", True, "make it again"),
    (tls(VERIFY % "Missing Authority Key Identifier"), "TLS_ERROR", True, "(missing authority key identifier)"),
    (tls(VERIFY % "unable to get local issuer certificate"), "TLS_ERROR", True, "(unable to get local issuer"),
    (tls("[SSL: WRONG_VERSION_NUMBER] wrong version number"), "TLS_ERROR", True, "plain_http"),
    (tls("[SSL] record layer failure (_ssl.c:1006)"), "TLS_ERROR", True, "plain_http"),
    (tls("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert"), "TLS_ERROR", True, "client_cert"),
    (tls("EOF occurred in violation of protocol", ssl.SSLEOFError), "TLS_ERROR", False, "EOF"),
    (tls("[SSL: SSLV3_ALERT_BAD_RECORD_MAC] bad record mac"), "TLS_ERROR", False, "bad record mac"),
    (UNRESOLVED, "UNREACHABLE", True, "resolve"),
    (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "UNREACHABLE", False, "resolve"),
    (caused(Broken("x"), UNRESOLVED), "UNREACHABLE", True, "resolve"),
    (pooled(requests.exceptions.ProxyError, PROXY), "UNREACHABLE", False, "PROXY"),
    (
        pooled(requests.exceptions.ProxyError, OSError("Tunnel connection failed: 407 Proxy Authentication Required")),
        "UNREACHABLE",
        True,
        "wants a login (HTTP 407); write http",
    ),
    (OSError("Tunnel connection failed: 403 Forbidden"), "UNREACHABLE", True, "refused the connection (HTTP 403)"),
    (ConnectionRefusedError(111, "Connection refused"), "UNREACHABLE", False, "refused"),
    (caused(Broken("x"), ConnectionRefusedError(111, "refused")), "UNREACHABLE", False, "refused"),
    (requests.exceptions.ReadTimeout("HTTPSConnectionPool: Read timed out."), "TIMEOUT", False, "timeout"),
    (requests.exceptions.ConnectTimeout("x"), "TIMEOUT", False, "timeout"),
    (Broken(urllib3.exceptions.ReadTimeoutError(None, "/", "Read timed out.")), "TIMEOUT", False, "timeout"),
    (socket.timeout("timed out"), "TIMEOUT", False, "timeout"),
    (ConnectionResetError(104, "Connection reset by peer"), "UNREACHABLE", False, "reset by peer"),
    (Broken(("Connection aborted.", BrokenPipeError(32, "Broken pipe"))), "UNREACHABLE", False, "broke"),
    (OSError(), "UNREACHABLE", False, "OSError"),
    (OSError("x" * 9999), "UNREACHABLE", False, "xxx"),
]


@pytest.mark.parametrize(("exc", "code", "final", "word"), CASES)
def test_failure(exc, code, final, word):
    failed = failure(exc, URL)
    assert (failed.code, failed.final, failed.registry) == (code, final, "q.io")
    assert word in str(failed) and "q.io:443" in str(failed)
    assert len(str(failed)) < 400


def test_the_url_gives_the_port_and_keeps_its_secrets():
    failed = failure(OSError("gone"), "http://u:s3cret@[::1]:5000/v2/?token=s3cret")
    assert failed.registry == "[::1]:5000" and "[::1]:5000 over http" in str(failed) and "s3cret" not in str(failed)


def test_who_sent_us_is_named_where_a_proxy_lets_nobody_through():
    failed = failure(OSError("Tunnel connection failed: 403 Forbidden"), URL, "r.io")
    assert str(failed).endswith("or set NO_PROXY. r.io sent us there.")


def test_a_chain_that_bites_its_tail_ends():
    first, second = OSError("a"), OSError("b")
    first.__cause__, second.__cause__ = second, first
    assert failure(first, URL).code == "UNREACHABLE"
