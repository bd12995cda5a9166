"""The client leg of a login where the bastion holds the password: what the client shows, and how it is told yes.

The client answered the real server's greeting, so its scramble is over the real nonce and can be checked against the
token. A plugin whose answers can be neither checked nor simply accepted is changed for one that can.
"""

from __future__ import annotations

from collections.abc import Generator

from bastion.protocols.contract import Answer, Leg, ProtocolError, Refusal, Step

from . import authentication as auth
from .codec import LoginLeg
from .constants import Capability
from .handshake import AuthSwitch, Greeting, HandshakeResponse, encode_auth_switch
from .server_login import FAST_OK, MORE_DATA, LoginRefused

TOKEN_WANTED = Refusal(
    "client-token-needed",
    "Access denied: the password of the database login must be the O&M token here. "
    "Request one (casemate token DATABASE) and give it as the password.",
)


def read_proof(
    client: LoginLeg, greeting: Greeting, response: HandshakeResponse, token: str | None
) -> Generator[Step, Answer, bytes]:
    """Takes the client's proof, changing the plugin where needed; returns the packets that must stand before OK.

    `token` None: any password is accepted, none too. Raises LoginRefused where the token is wanted and not shown.
    The packets returned are payloads joined by the caller with its OK (at most one: the fast outcome).
    """
    knows_plugins = bool(response.capabilities & Capability.PLUGIN_AUTH)
    plugin = (response.plugin or greeting.plugin or auth.NATIVE) if knows_plugins else auth.NATIVE
    answer = response.answer
    if knows_plugins and not _can_be_taken(plugin, answer, tls=client.tls):
        plugin = simple_plugin(greeting, None)
        yield from client.send(encode_auth_switch(AuthSwitch(plugin, greeting.nonce)))
        answer = yield from client.read_packet()
        if len(answer) > 512:
            raise ProtocolError(Leg.CLIENT, "an authentication answer that is too long for its plugin")
    empty = answer in (b"", b"\0")
    if token is not None and (empty or not auth.proves(plugin, answer, token.encode(), greeting.nonce)):
        raise LoginRefused(TOKEN_WANTED)
    # A client that sent a scramble of caching_sha2_password waits for the fast outcome before it takes an OK.
    return bytes((MORE_DATA, FAST_OK)) if plugin == auth.CACHING_SHA2 and not empty else b""


def simple_plugin(greeting: Greeting, used: str | None) -> str:
    """A plugin whose proof is one answer of the client: what it used, or what is usual with that server."""
    if used in (auth.NATIVE, auth.CACHING_SHA2):
        return used
    return auth.NATIVE if greeting.mariadb or greeting.plugin == auth.NATIVE else auth.CACHING_SHA2


def _can_be_taken(plugin: str, answer: bytes, *, tls: bool) -> bool:
    """Whether the answer stands as it is; otherwise it opens a conversation that the bastion cannot lead."""
    if plugin in (auth.NATIVE, auth.CACHING_SHA2):
        return True
    return tls and plugin in (auth.CLEARTEXT, auth.SHA256)
