"""`authority web`: the pages and the API."""

from __future__ import annotations

import argparse
import threading

from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from authority.api.campus_source import StoreCampusSource
from authority.api.chain_figures import reader_of
from authority.api.feed import CampusFeed
from authority.api.log_tiles import ServedLog
from authority.app import App
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.home import standing_page
from authority.home.home import Home
from authority.siblings import Siblings
from authority.status.facts import gather
from authority.status.metrics import Metrics
from authority.web.application import People, create_app
from authority.web.health import Health
from authority.web.server import WebServer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to listen; authority.toml's [web] otherwise."""
    parser.add_argument("--host", help="address to listen at (default: [web] host)")
    parser.add_argument("--port", type=int, help="port to listen at (default: [web] port)")


def _health(app: App, token: str) -> Health:
    client = ChainClient(app.home.rpc_url, attempts=1, timeout=5)

    def wrong() -> str | None:
        try:
            with app.store.read() as session:
                session.execute(select(1))
        except SQLAlchemyError:
            return "the store does not answer"
        try:
            client.health()
        except ChainError:
            return "the validator does not answer"
        return None

    return Health(wrong, Metrics(lambda: gather(app, client)), token)


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    home = Home.open(arguments.home, "web")
    settings = home.settings.web

    token, auditor = home.metrics_token, home.auditor_token
    _ = home.tickets_key  # made before several processes could each make one

    def make(siblings: Siblings) -> Flask:
        app = App.open(arguments.home, process="web", tries=siblings.tries)
        source = StoreCampusSource(app, reader_of(home))
        flask = create_app(
            source,
            feed=CampusFeed(source, streams=settings.streams, held=lambda: standing_page.words(home.path)),
            health=_health(app, token),
            log=ServedLog(app.store, auditor),
            people=People(app, lambda: ChainClient(home.rpc_url, attempts=1, timeout=3)),
        )
        board = flask.extensions["status_board"]
        watching = (threading.Event(), siblings.is_first)
        threading.Thread(target=board.run, args=watching, name="status", daemon=True).start()
        return flask

    host, port = arguments.host or settings.host, arguments.port or settings.port
    WebServer(
        make,
        host=host,
        port=port,
        processes=settings.processes,
        threads=settings.threads,
        streams=settings.streams,
    ).run()
    return 0
