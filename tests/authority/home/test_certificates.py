"""The department's certificates hold where they are checked strictly, as Python does from 3.13 on by default."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from authority.home import certificates

NAME = "energy.campus.example"


def _files(
    directory: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> tuple[Path, Path]:
    paths = directory / f"{name}.pem", directory / f"{name}.key"
    paths[0].write_bytes(certificates.certificate_to_pem(certificate))
    paths[1].write_bytes(certificates.key_to_pem(key))
    return paths


@pytest.mark.parametrize("days_later", [0, 365])
def test_a_strict_handshake_succeeds_both_ways(days_later: int, tmp_path: Path) -> None:
    now = int(time.time()) - days_later * 86_400
    ca_key, server_key, client_key = (certificates.new_key() for _ in range(3))
    ca = certificates.make_ca(ca_key, "Campus", now)
    server_files = _files(
        tmp_path, "server", certificates.issue_server(ca_key, ca, server_key, [NAME], now), server_key
    )
    client_files = _files(
        tmp_path, "client", certificates.issue_client(ca_key, ca, client_key, "collector", now), client_key
    )
    authorities = certificates.certificate_to_pem(ca).decode()

    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authorities)
    serving.verify_mode = ssl.CERT_REQUIRED
    serving.load_cert_chain(*server_files)
    calling = ssl.create_default_context(cadata=authorities)
    calling.load_cert_chain(*client_files)
    for context in (serving, calling):
        context.verify_flags |= ssl.VERIFY_X509_STRICT

    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    client = calling.wrap_bio(to_client, to_server, server_hostname=NAME)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    client.write(b"reading")
    assert server.read() == b"reading"
    assert server.getpeercert() != {}
