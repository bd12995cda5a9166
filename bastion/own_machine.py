"""Commands on the bastion's own machine: making it, running it, its state and its journal's files."""

from __future__ import annotations

import argparse
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bastion.api import methods, moments
from bastion.api.language import translate as _
from bastion.commands import standard_streams as streams
from bastion.commands.words import DONE, UNREACHABLE, WRONG_USAGE, CommandFailed, Context, Place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bastion.commands.words import Api
    from bastion.configuration import Configuration


def configuration_of(file: str) -> Configuration:
    """The configuration in `file`. Raises CommandFailed."""
    from bastion.configuration import ConfigurationError, load

    try:
        return load(Path(file))
    except ConfigurationError as error:
        raise CommandFailed(str(error), WRONG_USAGE) from error


@asynccontextmanager
async def local_api(configuration: Configuration) -> AsyncIterator[Api]:
    """The running bastion's socket, or, when none runs, the state itself under the journal's lock."""
    from bastion.commands.socket_api import SocketApi

    running = await SocketApi.connect(configuration.control_socket)
    if running is not None:
        try:
            yield running
        finally:
            await running.close()
        return
    from bastion.direct import direct_api

    async with direct_api(configuration) as api:
        yield api


def verify(arguments: argparse.Namespace) -> int:
    """`audit verify` needs no bastion: the files and the public key."""
    from bastion.commands.audit import show_proof
    from bastion.commands.verifying import verify_files

    store_url: str | None = None
    recordings = None if arguments.recordings is None else Path(arguments.recordings)
    if arguments.journal is not None:
        folder = Path(arguments.journal)
        key = None if arguments.public_key is None else Path(arguments.public_key)
    else:
        configuration = configuration_of(arguments.config)
        folder, key, store_url = configuration.journal_folder, configuration.public_key, configuration.store_url
        recordings = recordings or configuration.recordings_folder
    anchor = None if arguments.anchor is None else Path("/dev/stdin" if arguments.anchor == "-" else arguments.anchor)
    proof = verify_files(folder, key, anchor, store_url, recordings)

    import asyncio

    async def show() -> int:
        context = Context(_NoApi(), streams.StandardOutput(), Place.LOCAL)
        return show_proof(context, proof, as_json=arguments.json)

    return asyncio.run(show())


def verify_bundle(arguments: argparse.Namespace) -> int:
    """`audit verify --bundle` needs no bastion either."""
    from bastion.commands.evidence import verify_bundle as verify_file

    key = None if arguments.public_key is None else Path(arguments.public_key)
    anchor = None if arguments.anchor is None else Path("/dev/stdin" if arguments.anchor == "-" else arguments.anchor)
    context = Context(_NoApi(), streams.StandardOutput(), Place.LOCAL)
    return verify_file(context, Path(arguments.bundle), key, anchor, as_json=arguments.json)


class _NoApi:
    async def call(self, method: methods.Method, params: Any) -> Any:
        raise CommandFailed("There is no bastion to ask.", UNREACHABLE)


def init(arguments: argparse.Namespace) -> int:
    """`init`: makes a bastion's folder."""
    from bastion.commands.initialise import check_empty, initialise
    from bastion.configuration import FILE_NAME, parse_endpoint

    folder = Path(arguments.folder)
    try:
        listen = parse_endpoint(arguments.listen)
        advertise = None if arguments.advertise is None else parse_endpoint(arguments.advertise)
    except ValueError as error:
        raise CommandFailed(str(error), WRONG_USAGE) from error
    check_empty(folder)
    password = streams.given_password(arguments.password_file)
    if password is None:
        password = streams.ask_password(_("Password for {name}: ").format(name=arguments.admin))
        if streams.ask_password(_("Once more: ")) != password:
            raise CommandFailed(_("The two passwords differ. Nothing was made."), WRONG_USAGE)
    made = initialise(folder, arguments.admin, password, listen, advertise, arguments.node)
    output = streams.StandardOutput()
    for fingerprint in made.fingerprints:
        output.out(_("host key {fingerprint}").format(fingerprint=fingerprint) + "\n")
    output.err(
        _("Made in {folder}. Start it: casemate serve --config {file}").format(folder=folder, file=folder / FILE_NAME)
        + "\n"
    )
    return DONE


def serve(arguments: argparse.Namespace) -> int:
    """`serve`: runs until it is told to stop."""
    from bastion.configuration import parse_endpoint
    from bastion.direct import serve_now

    os.umask(0o077)
    moments.everywhere(local=False)  # whoever reads is elsewhere
    configuration = configuration_of(arguments.config)
    try:
        listen = None if arguments.listen is None else parse_endpoint(arguments.listen)
    except ValueError as error:
        raise CommandFailed(str(error), WRONG_USAGE) from error
    serve_now(configuration, listen, verbose=arguments.verbose)
    return DONE
