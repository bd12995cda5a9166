"""databases, token, tokens, ca: what an operator needs before any SQL."""

from __future__ import annotations

import argparse

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _

from .printing import clean, fields, json_line, table
from .values import period, shown_moment
from .words import ANYWHERE, DONE, REMOTE, Context, Word

DATABASES_OF_A_PAGE = 2000


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object a line on standard output")


async def _databases(context: Context, arguments: argparse.Namespace) -> int:
    found: list[m.Database] = []
    while True:
        after = found[-1].name if found else ""
        page = await context.api.call(methods.DATABASES, methods.DatabaseList(after=after, limit=DATABASES_OF_A_PAGE))
        found += page
        if len(page) != DATABASES_OF_A_PAGE:  # more than were asked for: a bastion that knows no pages sent them all
            break
    if arguments.json:
        for database in found:
            context.output.out(json_line(database))
    elif found:
        table(
            context.output,
            (_("NAME"), _("ENGINE"), _("ADDRESS"), _("ACCOUNTS"), _("TOKEN UNTIL")),
            (
                (
                    database.name,
                    database.engine,
                    f"{database.host}:{database.port}",
                    ", ".join(account.name for account in database.accounts),
                    ", ".join(shown_moment(token.expires_at) for token in database.tokens),
                )
                for database in found
            ),
        )
    else:
        context.output.err(_("You are not authorized for any database. Ask an administrator for a grant.") + "\n")
    return DONE


def _token_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("database", metavar="DB", help="the database's name; `databases` lists yours")
    parser.add_argument("--account", metavar="A", help="the database account, where you have several")
    parser.add_argument("--for", dest="period", type=period, metavar="2h", help="how long it shall live: 30m, 2h, 1d")
    parser.add_argument("--reason", default="", metavar="TEXT", help="what you need it for (the logon note)")
    parser.add_argument("--new", action="store_true", help="replace the live token; the old one ends")
    _json(parser)


def show_token(context: Context, token: m.Token, *, as_json: bool) -> None:
    """Prints a token with its ready-made lines. This is the one place where a token's text is printed."""
    if as_json:
        shown = msgspec_fields(token)
        context.output.out(json_line(shown))
        return
    fields(
        context.output,
        (
            (_("database"), f"{token.database} ({token.engine})"),
            (_("address"), f"{token.host}:{token.port}"),
            (_("account"), token.account),
            (_("SSH user"), token.user),
            (_("token"), token.token),
            (_("until"), shown_moment(token.expires_at)),
            (_("renewals left"), token.renewals_left),
        ),
    )
    context.output.out(f"\n  {clean(token.lines.ssh)}\n  {clean(token.lines.client)}\n")


def msgspec_fields(token: m.Token) -> dict[str, object]:
    """A token as scripts read it, in the documented order."""
    return {name: getattr(token, name) for name in token.__struct_fields__}


async def _token(context: Context, arguments: argparse.Namespace) -> int:
    request = methods.TokenRequest(
        database=arguments.database,
        account=arguments.account,
        period=arguments.period,
        reason=arguments.reason,
        new=arguments.new,
    )
    show_token(context, await context.api.call(methods.TOKEN_REQUEST, request), as_json=arguments.json)
    return DONE


def _tokens_arguments(parser: argparse.ArgumentParser) -> None:
    change = parser.add_mutually_exclusive_group()
    change.add_argument("--show", metavar="ID", help="show a token again, with its text")
    change.add_argument("--renew", metavar="ID", help="let a token live longer")
    change.add_argument("--revoke", metavar="ID", help="end a token now; its sessions end with it")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why (with --revoke)")
    _json(parser)


async def _tokens(context: Context, arguments: argparse.Namespace) -> int:
    if arguments.show or arguments.renew:
        method = methods.TOKEN_SHOW if arguments.show else methods.TOKEN_RENEW
        token = await context.api.call(method, methods.ById(id=arguments.show or arguments.renew))
        show_token(context, token, as_json=arguments.json)
        return DONE
    if arguments.revoke:
        revoked = await context.api.call(
            methods.TOKEN_REVOKE, methods.ById(id=arguments.revoke, reason=arguments.reason)
        )
        if arguments.json:
            context.output.out(json_line(revoked))
        else:
            context.output.err(_("The token {id} is revoked.").format(id=clean(revoked.id)) + "\n")
        return DONE
    tokens: list[m.TokenState] = await context.api.call(methods.TOKENS, methods.Nothing())
    if arguments.json:
        for state in tokens:
            context.output.out(json_line(state))
    elif tokens:
        table(
            context.output,
            (_("ID"), _("DATABASE"), _("ACCOUNT"), _("UNTIL"), _("RENEWALS LEFT")),
            ((t.id, t.database, t.account, shown_moment(t.expires_at), t.renewals_left) for t in tokens),
        )
    else:
        context.output.err(_("You have no live token. Request one: casemate token DATABASE.") + "\n")
    return DONE


async def _ca(context: Context, _arguments: argparse.Namespace) -> int:
    certificate: m.Certificate = await context.api.call(methods.CA, methods.Nothing())
    context.output.out(certificate.pem if certificate.pem.endswith("\n") else certificate.pem + "\n")
    return DONE


def _no_arguments(_parser: argparse.ArgumentParser) -> None:
    return


WORDS = (
    Word("databases", "the databases that you are authorized for", _json, _databases, REMOTE),
    Word("token", "get an O&M token for a database; the live one is shown again", _token_arguments, _token, REMOTE),
    Word("tokens", "your live tokens; show, renew or revoke one", _tokens_arguments, _tokens, REMOTE),
    Word("ca", "the bastion's certificate authority, for TLS inside the tunnel (PEM)", _no_arguments, _ca, ANYWHERE),
)
