"""Sign-in by the campus's OpenID provider (OpenID Connect Core 1.0, code flow with PKCE): what is asked and believed.

The provider is named in authority.toml and described by itself (OpenID Connect Discovery 1.0). Nothing here knows
people: the answer is who signed in there, as a subject of the provider, with an e-mail address only where the provider
has verified it.
"""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from authority.home.errors import HomeError
from authority.home.home import Home
from authority.home.settings import LOOPBACK_HOSTS
from authority.people.errors import OidcAwayError, OidcRefusedError

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""Signatures by a key that the provider keeps to itself. Neither `none`, nor a shared secret's."""
SCOPE = "openid email profile"
LEEWAY_SECONDS = 60
"""How far the provider's clock may be off."""
MOST_BYTES = 256 * 1024
"""Of any answer of the provider."""
TIMEOUT_SECONDS = 5.0
DISCOVERED_SECONDS = 3600.0
"""How long the provider's description and keys are taken as read."""
KEYS_AGAIN_SECONDS = 30.0
"""How often, at most, its keys are fetched because one is not among them."""
AT_ONCE = 4
"""How many requests may wait for the provider: the pages go on for all others."""


@dataclass(frozen=True)
class Subject:
    """Who signed in at the provider. email is empty where there is none, or none that the provider has verified."""

    issuer: str
    subject: str
    email: str


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The provider's endpoints answer themselves; where they send one on, that is an error."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass
class Provider:
    """The provider of one home, asked over the network; for any thread. Its client secret is read when needed."""

    home: Home
    clock: Callable[[], int]
    monotonic: Callable[[], float] = time.monotonic
    _metadata: Mapping[str, Any] | None = None
    _keys: KeySet | None = None
    _read_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _at_once: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(AT_ONCE))
    _opener: urllib.request.OpenerDirector = field(default_factory=lambda: urllib.request.build_opener(_NoRedirects))

    @property
    def name(self) -> str:
        """What people call it; empty where none is configured."""
        settings = self.home.settings.oidc
        return (settings.name or urllib.parse.urlsplit(settings.issuer).hostname or "") if settings.issuer else ""

    @property
    def issuer(self) -> str:
        """Its name in tokens."""
        return self.home.settings.oidc.issuer

    def authorization_url(self, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        """Where a browser is sent to sign in. OidcAwayError."""
        url: str = prepare_grant_uri(
            self._described()["authorization_endpoint"],
            client_id=self.home.settings.oidc.client_id,
            response_type="code",
            redirect_uri=redirect_uri,
            scope=SCOPE,
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return url

    def logout_url(self, back: str) -> str | None:
        """Where a person signs out of the provider too (RP-Initiated Logout); None where it has no such page."""
        try:
            ends = self._described().get("end_session_endpoint")
        except OidcAwayError:
            return None
        if not isinstance(ends, str) or not self._is_secure(ends):
            return None
        query = urllib.parse.urlencode(
            {"client_id": self.home.settings.oidc.client_id, "post_logout_redirect_uri": back}
        )
        return f"{ends}{'&' if '?' in ends else '?'}{query}"

    def subject(self, code: str, redirect_uri: str, nonce: str, verifier: str) -> Subject:
        """Who a code stands for. OidcAwayError; OidcRefusedError where the provider's answer is not believed."""
        described = self._described()
        tokens = self._redeem(described, code, redirect_uri, verifier)
        claims = self._believed(tokens, nonce)
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise OidcRefusedError(f"{self.name} does not say who signed in")
        found: Mapping[str, Any] = claims
        endpoint = described.get("userinfo_endpoint")
        if "email" not in claims and isinstance(endpoint, str) and isinstance(tokens.get("access_token"), str):
            found = self._fetch(endpoint, headers={"Authorization": f"Bearer {tokens['access_token']}"})
            if found.get("sub") != subject:
                raise OidcRefusedError(f"{self.name} speaks of two different people")
        email = found.get("email")
        verified = found.get("email_verified") is True and isinstance(email, str)
        return Subject(self.issuer, subject, str(email) if verified else "")

    def answers_as_itself(self, issuer: str | None) -> bool:
        """Whether the issuer in a browser's answer (RFC 9207) is this provider; one that says it will, must say it."""
        if issuer is None:
            return not self._described().get("authorization_response_iss_parameter_supported", False)
        return issuer == self.issuer

    def _redeem(self, described: Mapping[str, Any], code: str, redirect_uri: str, verifier: str) -> Mapping[str, Any]:
        client, secret = self.home.settings.oidc.client_id, self._secret()
        body = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        methods = described.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if "client_secret_basic" in methods:
            pair = f"{urllib.parse.quote_plus(client)}:{urllib.parse.quote_plus(secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            body |= {"client_id": client, "client_secret": secret}
        return self._fetch(described["token_endpoint"], headers, urllib.parse.urlencode(body).encode())

    def _believed(self, tokens: Mapping[str, Any], nonce: str) -> CodeIDToken:
        """The claims of the id_token that came with a code, checked: signature, issuer, audience, times, nonce."""
        text = tokens.get("id_token")
        if not isinstance(text, str):
            raise OidcRefusedError(f"{self.name} does not say who signed in")
        client = self.home.settings.oidc.client_id
        options = {
            "iss": {"essential": True, "value": self.issuer},
            "sub": {"essential": True},
            "aud": {"essential": True, "value": client},
            "exp": {"essential": True},
            "iat": {"essential": True},
            "nonce": {"essential": True, "value": nonce},
        }
        params = {"client_id": client, "nonce": nonce, "access_token": tokens.get("access_token")}
        try:
            try:
                token = jwt.decode(text, self._signing_keys(), algorithms=ALGORITHMS)
            except InvalidKeyIdError:  # a key that is new since
                token = jwt.decode(text, self._signing_keys(again=True), algorithms=ALGORITHMS)
            claims = CodeIDToken(token.claims, token.header, options, params)
            claims.validate(now=self.clock(), leeway=LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise OidcRefusedError(f"what {self.name} says of who signed in is not believed ({error})") from error
        return claims

    def _secret(self) -> str:
        try:
            return self.home.oidc_client_secret
        except HomeError as error:
            raise OidcAwayError(f"signing in with {self.name} is not set up: {error}") from error

    def _described(self) -> Mapping[str, Any]:
        """The provider's description of itself, and its keys with it; OidcAwayError."""
        with self._lock:
            known = self._metadata
            if known is not None and self.monotonic() - self._read_at < DISCOVERED_SECONDS:
                return known
        found = self._fetch(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != self.issuer:
            raise OidcAwayError(
                f"{self.name} calls itself {found.get('issuer')!r}, and [oidc] issuer says {self.issuer!r}"
            )
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not isinstance(found.get(name), str) or not self._is_secure(found[name]):
                raise OidcAwayError(f"{self.name} does not describe its {name} as an https:// address")
        if "S256" not in found.get("code_challenge_methods_supported", ["S256"]):
            raise OidcAwayError(f"{self.name} does not take PKCE with S256")
        keys = self._key_set(found)
        with self._lock:
            self._metadata, self._keys, self._read_at = found, keys, self.monotonic()
        return found

    def _key_set(self, described: Mapping[str, Any]) -> KeySet:
        try:
            return KeySet.import_key_set(self._fetch(described["jwks_uri"]))  # type: ignore[arg-type]
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise OidcAwayError(f"{self.name} has keys that cannot be read: {error}") from error

    def _signing_keys(self, *, again: bool = False) -> KeySet:
        described = self._described()
        if again:
            with self._lock:
                may = self.monotonic() - self._read_at >= KEYS_AGAIN_SECONDS
            if may:
                keys = self._key_set(described)
                with self._lock:
                    self._keys, self._read_at = keys, self.monotonic()
        with self._lock:
            assert self._keys is not None  # noqa: S101 - they are read with the description
            return self._keys

    def _is_secure(self, url: str) -> bool:
        """https://, or, where the provider is on this machine, http:// there too."""
        parts = urllib.parse.urlsplit(url)
        here = urllib.parse.urlsplit(self.issuer).hostname in LOOPBACK_HOSTS
        return bool(parts.hostname) and (
            parts.scheme == "https" or (here and parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS)
        )

    def _fetch(self, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> dict[str, Any]:
        """A JSON object of the provider's; OidcAwayError, OidcRefusedError where it refuses a code."""
        if not self._is_secure(url):
            raise OidcAwayError(f"{self.name} has an address that is not https://")
        if not self._at_once.acquire(blocking=False):
            raise OidcAwayError(f"{self.name} is slow, and too many wait for it: try again soon")
        try:
            request = urllib.request.Request(url, body, {"Accept": "application/json", **(headers or {})})  # noqa: S310
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                data = answer.read(MOST_BYTES + 1)
        except urllib.error.HTTPError as error:
            error.close()
            if body is not None and error.code in (400, 401, 403):
                raise OidcRefusedError(f"{self.name} does not take this sign-in any more: begin again") from error
            raise OidcAwayError(f"{self.name} does not answer as it should (status {error.code})") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise OidcAwayError(f"{self.name} does not answer") from error
        finally:
            self._at_once.release()
        try:
            found = json.loads(data) if len(data) <= MOST_BYTES else None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise OidcAwayError(f"{self.name} does not answer with what it should")
        return found
