"""A web process of its own, to be killed: python receiver_process.py DATABASE_URL SECRET_FILE. Prints its port."""

import socket
import sys
from urllib.parse import parse_qs

import uvicorn

from campaigns.application import Application
from campaigns.db import engine_for, session_factory
from campaigns.web.app import create_app
from campaigns.web.protocol import uvicorn_options
from dialer.pbx.base import EventKeys, Payload
from dialer.settings import PbxSettings, Settings


class Reader:
    def keys(self, payload: Payload) -> EventKeys:
        return EventKeys(parse_qs(payload.query)["extid"][0])


def main(database: str, secret_file: str) -> None:
    engine = engine_for(database)
    application = Application(
        settings=Settings(pbx={"main": PbxSettings(url="http://127.0.0.1:9/", webhook_secret_file=secret_file)}),
        engine=engine,
        sessions=session_factory(engine),
        pbxes={"main": Reader()},  # type: ignore[dict-item]
    )
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    server = uvicorn.Server(uvicorn.Config(create_app(application), **uvicorn_options()))
    server.run(sockets=[listening])


if __name__ == "__main__":
    main(*sys.argv[1:])
