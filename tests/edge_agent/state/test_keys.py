import os
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID

from edge_agent.state.keys import KeyFileError, KeyStore, verify
from edge_agent.wire.files import write_atomically


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_meter_key_is_made_once_and_private(tmp_path):
    store = KeyStore(tmp_path / "state")
    key = store.load_or_make("solar")
    assert store.load_or_make("solar").public_key == key.public_key == store.load("solar").public_key
    assert mode(store.meter_key_path("solar")) == 0o600
    assert mode(store.keys) == 0o700
    Ed25519PublicKey.from_public_bytes(key.public_key).verify(key.sign(b"message"), b"message")


def test_each_meter_has_its_own_key(tmp_path):
    store = KeyStore(tmp_path)
    assert store.load_or_make("solar").public_key != store.load_or_make("storage").public_key


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda path: path.unlink(), "key_missing"),
        (lambda path: path.write_bytes(b""), "key_invalid"),
        (lambda path: path.write_bytes(path.read_bytes()[:60]), "key_invalid"),
        (lambda path: path.chmod(0o644), "key_exposed"),
    ],
)
def test_a_spoilt_key_is_named_and_never_written_over(tmp_path, spoil, code):
    store = KeyStore(tmp_path)
    store.load_or_make("solar")
    path = store.meter_key_path("solar")
    spoil(path)
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(KeyFileError) as caught:
        store.load("solar")
    assert caught.value.code == code
    assert (path.read_bytes() if path.exists() else None) == before


def test_a_key_of_another_kind_is_refused(tmp_path):
    store = KeyStore(tmp_path)
    store.load_or_make("solar")
    store.load_or_make_tls()
    os.replace(store.tls_key, store.meter_key_path("solar"))
    with pytest.raises(KeyFileError, match="does not hold an Ed25519 key"):
        store.load("solar")


def test_the_certificate_request_names_the_gateway(tmp_path):
    store = KeyStore(tmp_path)
    request = x509.load_pem_x509_csr(store.certificate_request("dormitory-a").encode())
    assert request.is_signature_valid
    assert request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "dormitory-a"
    assert mode(store.tls_key) == 0o600


def test_verify_says_no_to_what_is_none(tmp_path):
    key = KeyStore(tmp_path).load_or_make("solar")
    assert verify(key.public_key, key.sign(b"x"), b"x")
    assert not verify(key.public_key, key.sign(b"x"), b"y")
    assert not verify(key.public_key, b"short", b"x")
    assert not verify(b"short", key.sign(b"x"), b"x")


def test_a_write_that_fails_leaves_the_old_file_and_no_remains(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("form", ["as it is written here", "with carriage returns", "with words before it"])
def test_a_key_in_any_of_the_forms_that_the_library_reads_is_the_same_key(tmp_path, form):
    store = KeyStore(tmp_path)
    key, path = store.load_or_make("solar"), store.meter_key_path("solar")
    pem = path.read_bytes()
    path.write_bytes(
        {
            "as it is written here": pem,
            "with carriage returns": pem.replace(b"\n", b"\r\n"),
            "with words before it": b"the key of the roof\n" + pem,
        }[form]
    )
    loaded, read = store.load("solar"), serialization.load_pem_private_key(path.read_bytes(), password=None)
    assert loaded.public_key == key.public_key == read.public_key().public_bytes_raw()
    assert loaded.sign(b"message") == read.sign(b"message")


def test_a_key_of_another_kind_is_refused_by_its_kind(tmp_path):
    store = KeyStore(tmp_path)
    store.load_or_make_tls()
    store.load_or_make("solar")
    write_atomically(store.meter_key_path("solar"), store.tls_key.read_bytes())
    with pytest.raises(KeyFileError, match="does not hold an Ed25519 key"):
        store.load("solar")
