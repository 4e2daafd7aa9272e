"""An OpenID provider on this machine: discovery, authorization code with PKCE, real signatures, and lies on demand."""

from __future__ import annotations

import base64
import functools
import hmac
import json
import secrets
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from flask import Flask, Response, redirect, request
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey
from werkzeug.serving import make_server

CLIENT, SECRET = "campus energy", "s3cret&/?"
FORM = """<!doctype html><html lang="en"><title>Campus login</title><h1>Campus login</h1>
<form method="post"><button>Continue as Ada</button></form></html>"""


@functools.cache
def rsa_key(kid: str) -> RSAKey:
    """A key of this name; making one takes longer than most tests."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


@dataclass
class OpenIdProvider:
    """`claims` are those of whoever signs in; the rest are what it does to them.

    sign makes the id_token of its claims; by default it is RS256 by the first published key. interactive: it shows a
    page with a button first, as providers do.
    """

    clock: Callable[[], int]
    claims: dict[str, Any] = field(
        default_factory=lambda: {"sub": "u-1", "email": "new@campus.example", "email_verified": True}
    )
    changes: dict[str, Any] = field(default_factory=dict)
    described: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    sign: Callable[[dict[str, Any]], str] | None = None
    interactive: bool = False
    says_issuer: str | None = None
    fails: bool = False
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keys = [rsa_key("one")]
        self.codes: dict[str, dict[str, str]] = {}
        self._server = make_server("127.0.0.1", 0, self._app(), threaded=True)
        self.issuer = f"http://127.0.0.1:{self._server.port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def back_from(self, url: str) -> str:
        """What a browser that was sent to a URL of the provider is sent back to: path and query."""

        class Stays(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *_: Any) -> None:
                return None

        try:
            urllib.request.build_opener(Stays).open(url)
        except HTTPError as error:
            error.close()
            back = urllib.parse.urlsplit(error.headers["Location"])
            return f"{back.path}?{back.query}"
        raise AssertionError("the provider did not send the browser back")

    def _app(self) -> Flask:
        app = Flask("openid provider")

        @app.before_request
        def note() -> Response | None:
            self.asked.append(request.path)
            return Response("down", 502) if self.fails else None

        @app.get("/.well-known/openid-configuration")
        def configuration() -> dict[str, Any]:
            return {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "end_session_endpoint": f"{self.issuer}/logout",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256", "ES256", "none", "HS256"],
                "code_challenge_methods_supported": ["S256"],
                **self.described,
            }

        @app.get("/jwks")
        def jwks() -> Any:
            return KeySet(self.keys).as_dict(private=False)

        @app.get("/authorize")
        def authorize() -> Any:
            given = request.args
            assert (given["client_id"], given["response_type"]) == (CLIENT, "code")
            assert given["code_challenge_method"] == "S256"
            assert {"openid", "email"} <= set(given["scope"].split())
            return FORM if self.interactive else self._grant()

        @app.post("/authorize")
        def agreed() -> Any:
            return self._grant()

        @app.post("/token")
        def token() -> Any:
            pair = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
            if [urllib.parse.unquote_plus(part) for part in pair.split(":")] != [CLIENT, SECRET]:
                return {"error": "invalid_client"}, 401
            form, grant = request.form, self.codes.pop(request.form["code"], None)
            if (
                grant is None
                or grant["redirect_uri"] != form["redirect_uri"]
                or grant["code_challenge"] != create_s256_code_challenge(form["code_verifier"])
            ):
                return {"error": "invalid_grant"}, 400
            now = self.clock()
            claims = {
                "iss": self.issuer,
                "aud": CLIENT,
                "iat": now,
                "exp": now + 300,
                "nonce": grant["nonce"],
                **self.claims,
                **self.changes,
            }
            claims = {name: value for name, value in claims.items() if value is not None}
            signed = (self.sign or self.signed)(claims)
            return {"access_token": "access", "token_type": "Bearer", "expires_in": 300, "id_token": signed}

        @app.get("/userinfo")
        def userinfo() -> dict[str, Any]:
            assert request.headers["Authorization"] == "Bearer access"
            return self.userinfo

        @app.get("/logout")
        def logout() -> Any:
            assert request.args["client_id"] == CLIENT
            return redirect(request.args["post_logout_redirect_uri"])

        @app.get("/favicon.ico")
        def favicon() -> Any:
            return "", 204

        @app.get("/moved")
        def moved() -> Any:
            return redirect(f"{self.issuer}/jwks")

        @app.get("/endless")
        def endless() -> Any:
            return {"keys": ["x" * 300_000]}

        return app

    def _grant(self) -> Any:
        given, code = request.args, secrets.token_urlsafe(16)
        self.codes[code] = {name: given[name] for name in ("redirect_uri", "code_challenge", "nonce")}
        back = {"code": code, "state": given["state"]}
        if self.says_issuer is not None:
            back["iss"] = self.says_issuer
        return redirect(f"{given['redirect_uri']}?{urllib.parse.urlencode(back)}")

    # Ways to sign

    def signed(self, claims: dict[str, Any]) -> str:
        """As it should be."""
        return jwt.encode({"alg": "RS256", "kid": self.keys[0].kid}, claims, self.keys[0])

    def by_a_strange_key(self, claims: dict[str, Any]) -> str:
        """By a key of the same name that is not published."""
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, rsa_key("strange"))

    def by_an_unknown_key(self, claims: dict[str, Any]) -> str:
        """By a key that is not published, under a name of its own."""
        return jwt.encode({"alg": "ES256", "kid": "two"}, claims, ECKey.generate_key("P-256"))

    def unsigned(self, claims: dict[str, Any]) -> str:
        """`alg` none, and no signature."""
        _, body, _ = self.signed(claims).split(".")
        none = _base64(b'{"alg":"none","kid":"one"}')
        return f"{none}.{body}."

    def with_a_cut_signature(self, claims: dict[str, Any]) -> str:
        """Without its signature."""
        return self.signed(claims).rpartition(".")[0] + "."

    def by_the_public_key_as_a_secret(self, claims: dict[str, Any]) -> str:
        """HS256, with what everybody can read of the published key as the secret."""
        head, body = {"alg": "HS256", "kid": "one"}, self.signed(claims).split(".")[1]
        signed = f"{_base64(json.dumps(head).encode())}.{body}"
        secret = self.keys[0].as_pem(private=False)
        return f"{signed}.{_base64(hmac.digest(secret, signed.encode(), 'sha256'))}"

    def by_the_clients_secret(self, claims: dict[str, Any]) -> str:
        """HS256 with the client's secret, which the client holds too."""
        return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET.ljust(32, "x")), algorithms=["HS256"])


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
