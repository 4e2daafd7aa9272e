"""A gateway as far as enrolling goes: it asks with its keys and maps, proves them, and looks what became of it."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flask.testing import FlaskClient
from solders.keypair import Keypair

from edge_agent.wire.meter_map import MeterMap
from edge_agent.wire.reading import possession_message

PLAN = b"""
user = [{name = "U", building = "A"}]
installation = [{n = 1, building = "A", kind = "mixed", nameplate_w = 10000, since = 2020-01-01}]
meter = [
  {name = "pv", gateway = "gw-1", serial = "S1", role = "generation", source = "solar", user = "U", installation = 1},
  {name = "load", gateway = "gw-1", serial = "S2", role = "load", user = "U", installation = 1},
  {name = "other", gateway = "gw-2", serial = "S3", role = "submeter", user = "U", installation = 1},
]
"""
REGISTERS = {"pv": ("generation", "1-0:2.8.0.255"), "load": ("consumption", "1-0:1.8.0.255")}


def meter_map(name: str, **changes: Any) -> dict[str, Any]:
    register, obis = REGISTERS[name]
    return {
        "capture_period": 900,
        "clock": "deviation",
        "logical_device_name": "KFM1000000000001",
        "profile": "1-0:99.1.0.255",
        "ratio": [1, 1],
        "registers": {register: [obis, 1]},
        "rollover_wh": None,
        "version": 1,
        **changes,
    }


def signing_request(key: Any, name: str = "gw-1") -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM).decode()


class GatewayHand:
    """One gateway with a photovoltaic meter and a load's."""

    def __init__(self, client: FlaskClient, code: str, gateway: str = "gw-1") -> None:
        self.client = client
        self.gateway = gateway
        self.serials = {"pv": "S1", "load": "S2"}
        self.headers = {"Authorization": f"Claim {code}"}
        self.tls = ec.generate_private_key(ec.SECP256R1())
        self.keys = {"pv": Keypair(), "load": Keypair()}
        self.maps = {name: meter_map(name) for name in self.keys}

    def only(self, name: str, serial: str, like: str) -> None:
        """Ask for one meter alone, with a map like that of another."""
        self.keys, self.maps, self.serials = {name: Keypair()}, {name: meter_map(like)}, {name: serial}

    def body(self) -> dict[str, Any]:
        return {
            "gateway": self.gateway,
            "csr": signing_request(self.tls, self.gateway),
            "meters": [
                {
                    "name": name,
                    "serial": self.serials[name],
                    "public_key": bytes(key.pubkey()).hex(),
                    "map": self.maps[name],
                }
                for name, key in self.keys.items()
            ],
        }

    def ask(self, **changes: Any) -> Any:
        return self.client.post("/api/v1/enrolments", json={**self.body(), **changes}, headers=self.headers)

    def proofs(self, asked: dict[str, Any]) -> dict[str, str]:
        return {
            meter["name"]: bytes(
                self.keys[meter["name"]].sign_message(
                    possession_message(
                        first_sequence=meter["first_sequence"],
                        network_id=bytes.fromhex(asked["network_id"]),
                        meter_id=bytes.fromhex(meter["meter_id"]),
                        map_hash=MeterMap.from_dict(self.maps[meter["name"]]).hash(),
                    )
                )
            ).hex()
            for meter in asked["meters"]
        }

    def prove(self, asked: dict[str, Any], proofs: object = None) -> Any:
        body = {"proofs": self.proofs(asked) if proofs is None else proofs}
        return self.client.post(f"/api/v1/enrolments/{asked['enrolment']}/proofs", json=body, headers=self.headers)

    def show(self, enrolment: str) -> Any:
        return self.client.get(f"/api/v1/enrolments/{enrolment}", headers=self.headers)
