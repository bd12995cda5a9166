"""The kind of a statement and the credentials in it, for every engine's way of writing comments and strings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.protocols.sql_credentials import CHARACTERS_AN_ANCHOR, FEWEST_ANCHORS, MOST_SECRETS
from bastion.protocols.sql_scanner import DIALECTS, Kind, dialect_of, tokens, value_of
from bastion.protocols.sql_text import redact, statement_kind

ENGINES = ("mysql", "mariadb", "postgresql", "sqlserver", "oracle", "unheard-of")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("select 1", "select"),
        ("SELECT*FROM t", "select"),
        ("  \n\tInSeRt INTO t VALUES (1)", "insert"),
        ("(select 1) union (select 2)", "select"),
        ("/* by the ORM */ -- and more\n UPDATE t SET a = 1", "update"),
        ("commit", "commit"),
        ("BEGIN;", "begin"),
        (";; delete from t", "delete"),
        ("{? = call f(1)}", "call"),
        ("explain analyze delete from t", "explain"),
        ("with a as (select 1) select * from a", "select"),
        ("WITH a AS (SELECT 1), b (x, y) AS (DELETE FROM t RETURNING *) UPDATE t SET a = 1", "update"),
        ("with recursive r as (select 1 union all select ')' from r) /* ( */ insert into t select * from r", "insert"),
        ("with a as (select 1", "with"),
        ("with", "with"),
        ("values (1)", "values"),
        ("", ""),
        ("   ", ""),
        ("/* nothing but this */", ""),
        ("/* without end select", ""),
        ("'select'", ""),
        ('"select" 1', ""),
        ("1 select", ""),
        ("订单", ""),
        ("x" * 33, ""),
        ("select\0 1", "select"),
        ("\ufeffselect 1", "select"),
        ("create or replace function f() as $$ drop table t $$", "create"),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_kind(engine: str, text: str, kind: str) -> None:
    assert statement_kind(text, engine) == kind


@pytest.mark.parametrize(
    ("engine", "text", "kind"),
    [
        ("mysql", "# a comment\nselect 1", "select"),
        ("mysql", "--\tselect\ninsert", "insert"),
        ("mysql", "/*!40101 SET NAMES utf8 */", "set"),
        ("mysql", "/*M!100100 drop table t */", "drop"),
        ("mysql", "/* a /* b */ select 1", "select"),
        ("postgresql", "/* a /* b */ select */ delete from t", "delete"),
        ("postgresql", "/*! set */ show x", "show"),
        ("postgresql", "--select\ninsert", "insert"),
        ("sqlserver", "/* a /* b */ select */ delete from t", "delete"),
        ("oracle", "/* a /* b */ select 1 from dual", "select"),
        ("mysql", "RESET CONNECTION", "reset"),
        ("mysql", "CHANGE USER 'bob' DATABASE `shop`", "change-user"),
        ("mysql", "CHANGE MASTER TO MASTER_HOST = 'x'", "change"),
        ("sqlserver", "with x as (select [)] from t) delete from x", "delete"),
        ("mysql", "with x as (select `)`, ')\\')', \")\" from t) delete from x", "delete"),
        ("postgresql", "with x as (select $a$ ) $$ ) $a$, E'\\')' from t) delete from x", "delete"),
        ("oracle", "with x as (select q'[)']', nq'!)'!' from t) select 1 from x", "select"),
    ],
)
def test_kind_by_the_engines_own_rules(engine: str, text: str, kind: str) -> None:
    assert statement_kind(text, engine) == kind


MYSQL = [
    ("create user a identified by 'pw'", "create user a identified by '***'", ["pw"]),
    (
        "CREATE USER 'a'@'%' IDENTIFIED BY 'p1', b IDENTIFIED WITH caching_sha2_password BY \"p2\" PASSWORD EXPIRE",
        "CREATE USER 'a'@'%' IDENTIFIED BY '***', b IDENTIFIED WITH caching_sha2_password BY '***' PASSWORD EXPIRE",
        ["p1", "p2"],
    ),
    ("alter user a identified by 'n' replace 'o' retain current password",
     "alter user a identified by '***' replace '***' retain current password", ["n", "o"]),
    ("alter user a identified with x as '*A1'", "alter user a identified with x as '***'", ["*A1"]),
    ("alter user a identified with 'x' using 'h'", "alter user a identified with 'x' using '***'", ["h"]),
    ("alter user a identified via ed25519 using password('p') or unix_socket",
     "alter user a identified via ed25519 using password('***') or unix_socket", ["p"]),
    ("alter user a identified via x using 'p' or y using 'q'",
     "alter user a identified via x using '***' or y using '***'", ["p", "q"]),
    ("create user a identified by password '*A1'", "create user a identified by password '***'", ["*A1"]),
    ("create user a identified by random password", "create user a identified by random password", []),
    ("alter user a add 2 factor identified with x by 'p'",
     "alter user a add 2 factor identified with x by '***'", ["p"]),
    ("grant all on *.* to a identified by 'p'", "grant all on *.* to a identified by '***'", ["p"]),
    ("set password = 'p'", "set password = '***'", ["p"]),
    ("SET PASSWORD FOR 'bob'@'%' = PASSWORD('x\\'y')", "SET PASSWORD FOR 'bob'@'%' = PASSWORD('***')", ["x'y"]),
    ("set password for bob = 'p' replace 'o'", "set password for bob = '***' replace '***'", ["p", "o"]),
    ("begin set password = 'p'; end", "begin set password = '***'; end", ["p"]),
    ("set password to random", "set password to random", []),
    ("CHANGE MASTER TO MASTER_USER='u', MASTER_PASSWORD = 'p'",
     "CHANGE MASTER TO MASTER_USER='u', MASTER_PASSWORD = '***'", ["p"]),
    ("change replication source to source_password='p'", "change replication source to source_password='***'", ["p"]),
    ("start replica user='u' password='p'", "start replica user='u' password='***'", ["p"]),
    ("start group_replication user='u', password='p'", "start group_replication user='u', password='***'", ["p"]),
    ("clone instance from u@h:3306 identified by 'p'", "clone instance from u@h:3306 identified by '***'", ["p"]),
    ("create server s foreign data wrapper mysql options (user 'u', password 'p')",
     "create server s foreign data wrapper mysql options (user 'u', password '***')", ["p"]),
    ("create table t (a int) connection='mysql://u:p@h/d/t'", "create table t (a int) connection='mysql://u:***@h/d/t'",
     ["p"]),
    ("create user a /*!50100 identified /* c */ by 'p' */",
     "create user a /*!50100 identified /* c */ by '***' */", ["p"]),
    ("create user a identified/**/by -- c\n'p'", "create user a identified/**/by -- c\n'***'", ["p"]),
    ("create user a identified by _utf8mb4'p'", "create user a identified by '***'", ["p"]),
    ("create user a identified by 'p' 'q'", "create user a identified by '***'", ["pq"]),
    ("create user a identified by N'p''q'", "create user a identified by '***'", ["p'q"]),
    ("prepare s from 'create user a identified by \"p\"'",
     "prepare s from 'create user a identified by ''***'''", ["p"]),
    ("update mysql.user set authentication_string = password('p')",
     "update mysql.user set authentication_string = password('***')", ["p"]),
    ("select 1; create user a identified by 'p'; select 'x'", "select 1; create user a identified by '***'; select 'x'",
     ["p"]),
    ("create user a identified by 'without end", "create user a identified by '***'", ["without end"]),
    ("create user a identified with x as 0x2441", "create user a identified with x as '***'", ["0x2441"]),
    ("alter user a identified with x by X'41'", "alter user a identified with x by '***'", ["41"]),
    ("alter user user() identified by 'n' replace 'o', b identified by 'm' discard old password",
     "alter user user() identified by '***' replace '***', b identified by '***' discard old password",
     ["n", "o", "m"]),
    ("create user a identified with webauthn initial authentication identified by 'p'",
     "create user a identified with webauthn initial authentication identified by '***'", ["p"]),
    ("set @a = 1, password for 'u'@'h' = 'p'", "set @a = 1, password for 'u'@'h' = '***'", ["p"]),
    ("set statement max_statement_time=1 for set password = password('p')",
     "set statement max_statement_time=1 for set password = password('***')", ["p"]),
    ("create event e on schedule every 1 day do set password for u = 'p'",
     "create event e on schedule every 1 day do set password for u = '***'", ["p"]),
    ("/*!50000 set password = 'p' */", "/*!50000 set password = '***' */", ["p"]),
    ("/*! create user a identified */ by 'p' /*! account lock */",
     "/*! create user a identified */ by '***' /*! account lock */", ["p"]),
    ("# it's\nset/**/password\n=\t'p'", "# it's\nset/**/password\n=\t'***'", ["p"]),
    ("select 1 --\u00a0; create user a identified by 'p'",
     "select 1 --\u00a0; create user a identified by '***'", ["p"]),
    ("execute immediate 'alter user a identified by ''p'''", "execute immediate 'alter user a identified by ''***'''",
     ["p"]),
    ("set @s = 'set password = ''p'''; prepare s from @s",
     "set @s = 'set password = ''***'''; prepare s from @s", ["p"]),
    ("select '\\\\'; create user a identified by 'p'", "select '\\\\'; create user a identified by '***'", ["p"]),
    ("start slave until master_log_file='f', master_log_pos=1 user='u' password='p'",
     "start slave until master_log_file='f', master_log_pos=1 user='u' password='***'", ["p"]),
    ("change master 'c' to master_password=\"p\", master_user='u'",
     "change master 'c' to master_password='***', master_user='u'", ["p"]),
    # NO_BACKSLASH_ESCAPES: the first literal ends before the semicolon.
    ("select '\\'; create user a identified by 'p'", "select '\\'; create user a identified by '***'", ["p"]),
]  # fmt: skip

POSTGRESQL = [
    ("create role a login password 'p'", "create role a login password '***'", ["p"]),
    ("ALTER USER a WITH ENCRYPTED PASSWORD E'p\\'q' VALID UNTIL 'infinity'",
     "ALTER USER a WITH ENCRYPTED PASSWORD '***' VALID UNTIL 'infinity'", ["p'q"]),
    ("alter role a password $$p$$", "alter role a password '***'", ["p"]),
    ("alter role a password $x$p$$q$x$", "alter role a password '***'", ["p$$q"]),
    ("alter role a password U&'p'", "alter role a password '***'", ["p"]),
    ("alter role a password 'p'\n 'q'", "alter role a password '***'", ["pq"]),
    ("alter role a password null", "alter role a password null", []),
    ("do $$ begin create role a password 'p'; end $$", "do $$ begin create role a password '***'; end $$", ["p"]),
    ("do $$ begin execute 'create role a password ''p'''; end $$",
     "do $$ begin execute 'create role a password ''***'''; end $$", ["p"]),
    ("create user mapping for a server s options (user 'u', \"password\" 'p')",
     "create user mapping for a server s options (user 'u', \"password\" '***')", ["p"]),
    ("alter user mapping for a server s options (set password 'p')",
     "alter user mapping for a server s options (set password '***')", ["p"]),
    ("create subscription s connection 'host=h password=p user=u' publication b",
     "create subscription s connection 'host=h password=*** user=u' publication b", ["p"]),
    ("create subscription s connection 'postgresql://u:p@h/d' publication b",
     "create subscription s connection 'postgresql://u:***@h/d' publication b", ["p"]),
    ("alter subscription s connection $$host=h password='p q'$$",
     "alter subscription s connection $$host=h password=***$$", ["p q"]),
    ("select * from dblink('host=h password=p', 'select 1')", "select * from dblink('host=h password=***', 'select 1')",
     ["p"]),
    ("alter system set primary_conninfo = 'host=h password=p'",
     "alter system set primary_conninfo = 'host=h password=***'", ["p"]),
    ("ALTER SYSTEM SET \"primary_conninfo\" TO 'password=p host=h'",
     "ALTER SYSTEM SET \"primary_conninfo\" TO 'password=*** host=h'", ["p"]),
    ("alter role a password 'SCRAM-SHA-256$4096:c2FsdA==$a2V5:a2V5'", "alter role a password '***'",
     ["SCRAM-SHA-256$4096:c2FsdA==$a2V5:a2V5"]),
    ("alter user a password 'md5d41d8cd98f00b204e9800998ecf8427e' valid until 'infinity'",
     "alter user a password '***' valid until 'infinity'", ["md5d41d8cd98f00b204e9800998ecf8427e"]),
    ("create role a PassWord/* '/* */ */\n-- it's\n'p'", "create role a PassWord/* '/* */ */\n-- it's\n'***'", ["p"]),
    ("create user \"password 'x'\" password 'p'", "create user \"password 'x'\" password '***'", ["p"]),
    ("create server s foreign data wrapper f options (host 'h', sslpassword 'p')",
     "create server s foreign data wrapper f options (host 'h', sslpassword '***')", ["p"]),
    ("alter server s options (add password 'p', set \"password\" $x$q$x$)",
     "alter server s options (add password '***', set \"password\" '***')", ["p", "q"]),
    ("alter subscription s connection 'host=h password=p'", "alter subscription s connection 'host=h password=***'",
     ["p"]),
    ("select dblink_connect('c', 'dbname=d password=p')", "select dblink_connect('c', 'dbname=d password=***')", ["p"]),
    ("select public.\"dblink_connect\"('password=''p q'' dbname=d')",
     "select public.\"dblink_connect\"('password=*** dbname=d')", ["p q"]),
    ("select dblink_exec('c', 'alter role a password ''p''')",
     "select dblink_exec('c', 'alter role a password ''***''')",
     ["p"]),
    ("select connect_to('host=h user=u password=p')", "select connect_to('host=h user=u password=***')", ["p"]),
    ("insert into jobs values ('postgres://u:p@h/d')", "insert into jobs values ('postgres://u:***@h/d')", ["p"]),
    ("alter database d set app.password = 'p'", "alter database d set app.password = '***'", ["p"]),
    ("alter database d set app.password to 'p'", "alter database d set app.password to '***'", ["p"]),
    ("create function f() returns void as $f$ begin alter role a password 'p'; end $f$ language plpgsql",
     "create function f() returns void as $f$ begin alter role a password '***'; end $f$ language plpgsql", ["p"]),
    ("begin; alter role a password 'p'; commit", "begin; alter role a password '***'; commit", ["p"]),
    # standard_conforming_strings = off: the second quote is part of the password.
    ("select 'a\\'b'; alter role a password 'p'", "select 'a\\'b'; alter role a password '***'", ["p"]),
]  # fmt: skip

SQLSERVER = [
    ("CREATE LOGIN [x] WITH PASSWORD = N'p''q' MUST_CHANGE, DEFAULT_DATABASE=[m]",
     "CREATE LOGIN [x] WITH PASSWORD = '***' MUST_CHANGE, DEFAULT_DATABASE=[m]", ["p'q"]),
    ("if 1=1 create login x with password='p' select * from t where password = 'k'",
     "if 1=1 create login x with password='***' select * from t where password = 'k'", ["p"]),
    ("alter login x with password='n' old_password='o'", "alter login x with password='***' old_password='***'",
     ["n", "o"]),
    ("create login x with password = 0x0200AB hashed", "create login x with password = '***' hashed", ["0x0200AB"]),
    ("create application role r with password = 'p'", "create application role r with password = '***'", ["p"]),
    ("create credential c with identity = 'i', secret = 's'", "create credential c with identity = 'i', secret = '***'",
     ["s"]),
    ("create master key encryption by password = 'p'", "create master key encryption by password = '***'", ["p"]),
    ("open symmetric key k decryption by password = 'p'", "open symmetric key k decryption by password = '***'", ["p"]),
    ("exec sp_addlogin 'u', 'p', 'd'", "exec sp_addlogin 'u', '***', 'd'", ["p"]),
    ("EXEC sp_password NULL, N'n', 'u'", "EXEC sp_password NULL, '***', 'u'", ["n"]),
    ("exec sp_addlinkedsrvlogin @rmtsrvname=N's', @rmtuser=N'u', @rmtpassword='p'",
     "exec sp_addlinkedsrvlogin @rmtsrvname=N's', @rmtuser=N'u', @rmtpassword='***'", ["p"]),
    ("select * from openrowset('SQLNCLI', 's'; 'u'; 'pwd', 'select 1')",
     "select * from openrowset('SQLNCLI', 's'; 'u'; '***', 'select 1')", ["pwd"]),
    ("select * from opendatasource('MSOLEDBSQL', 'Server=s;UID=u;PWD=p;').d.dbo.t",
     "select * from opendatasource('MSOLEDBSQL', 'Server=s;UID=u;PWD=***;').d.dbo.t", ["p"]),
    ("exec('create login x with password = ''p''')", "exec('create login x with password = ''***''')", ["p"]),
]  # fmt: skip

ORACLE = [
    ("alter user scott identified by tiger", "alter user scott identified by '***'", ["tiger"]),
    ("alter user scott identified by tiger replace lion", "alter user scott identified by '***' replace '***'",
     ["tiger", "lion"]),
    ('create user a identified by "p q" account unlock', "create user a identified by '***' account unlock", ["p q"]),
    ("alter user a identified by values 'S:1'", "alter user a identified by values '***'", ["S:1"]),
    ("create user a identified externally", "create user a identified externally", []),
    ("create user a identified globally as 'cn=a'", "create user a identified globally as 'cn=a'", []),
    ("grant connect to a, b identified by p, q", "grant connect to a, b identified by '***', '***'", ["p", "q"]),
    ("create database link l connect to u identified by p using 'tns'",
     "create database link l connect to u identified by '***' using 'tns'", ["p"]),
    ("begin execute immediate 'create user a identified by p quota 1 on x'; end;",
     "begin execute immediate 'create user a identified by ''***'' quota 1 on x'; end;", ["p"]),
    ("begin execute immediate q'[create user a identified by p]'; end;",
     "begin execute immediate 'create user a identified by ''***'''; end;", ["p"]),
    ("set role r identified by p", "set role r identified by '***'", ["p"]),
    ("administer key management set keystore open identified by p",
     "administer key management set keystore open identified by '***'", ["p"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("engine", "text", "kept", "secrets"),
    [
        (engine, *case)
        for engine, cases in (
            ("mysql", MYSQL), ("mariadb", MYSQL),
            ("postgresql", POSTGRESQL), ("sqlserver", SQLSERVER), ("oracle", ORACLE),
        )
        for case in cases
    ],
)  # fmt: skip
def test_credentials_are_taken_out(engine: str, text: str, kept: str, secrets: list[str]) -> None:
    redacted = redact(text, engine)
    assert redacted.text == kept
    assert list(redacted.secrets) == secrets
    assert "secrets" not in repr(redacted)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'password'",
        "select password from users where password = 'x' and note = 'identified by ''y'''",
        "insert into users (name, password) values ('a', 'b')",
        "update users set password = 'x' where name = 'create user'",
        "-- create user a identified by 'x'\nselect 1",
        "/* alter role a password 'x' */ select 1",
        "create table t (password varchar(20) default 'x')",
        "select \"create user\", 'password' from t",
        "create user a comment 'the password is secret'",
        "select * from secrets where url = 'http://u:p@h/'",
        "call set_password('x')",
        "copy t from program 'curl -u u:password h'",
        "set session authorization 'password'",
        "select set_config('a', 'password = x', false)",
        "insert into pages values ('the form has password = and more')",
        "select * from t where url = 'https://u:p@h/' and password = 'x'",
        "create table t (a text); insert into t values ('create user x identified by ''y''')",
        "select 'it''s', 'create user a password ''x'''",
        "update t set a = 'begin set password = ''x''' where password = 'y'",
        "",
        "password",
        "identified by",
        "set password",
        "set password for",
        "create user a password",
        "alter user mapping options (password)",
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_innocent_text_stays_as_it_is(engine: str, text: str) -> None:
    assert redact(text, engine).text == text
    assert redact(text, engine).secrets == ()


PIECES = st.sampled_from(
    [
        "create ", "user ", "a ", "identified ", "by ", "with ", "password ", "= ", "set ", "for ", "replace ",
        "'", "''", '"', "`", "[", "]", "\\", "$$", "$a$", "q'[", "]'", "E'", "N'", "U&'", "/*", "*/", "/*!", "--", "\n",
        ";", "(", ")", ",", "0x1f", "dblink(", "connection ", "sp_addlogin ", "openrowset(", "@", "é", "\0", "or ",
        "using ", "#", "values ", "do ", "exec ", "://", ":p@", "password=", "alter ", "role ", "grant ",
    ]
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(PIECES, max_size=60).map("".join), st.sampled_from(ENGINES))
def test_any_text_is_read_to_its_end(text: str, engine: str) -> None:
    position = 0
    for token in tokens(text, dialect_of(engine)):
        assert position <= token.start < token.end <= len(text)
        assert token.start <= token.inner <= token.end or token.kind is Kind.STRING
        value_of(text, token, dialect_of(engine))
        position = token.end
    statement_kind(text, engine)
    redacted = redact(text, engine)
    assert bool(redacted.secrets) == (redacted.text != text) or "***" in redacted.text or "" in redacted.secrets


@settings(deadline=None)
@given(st.text(max_size=30), st.sampled_from(sorted(DIALECTS)))
def test_a_password_of_any_characters_is_taken_out_whole(password: str, engine: str) -> None:
    quoted = password.replace("'", "''")
    if dialect_of(engine).backslash:
        quoted = quoted.replace("\\", "\\\\")
    mark = "identified by" if engine != "postgresql" else "password"
    redacted = redact(f"create user a {mark} '{quoted}' after", engine)
    assert redacted.text == f"create user a {mark} '***' after"
    assert redacted.secrets == (password,)


@pytest.mark.parametrize(
    "piece",
    [
        "'", "(", "/*", "/*!", "/**/", "$$", "$a$", "q'[", "[", "\\'", "create or ", "create user identified by ",
        "set password ", "dblink(", "password='", "a.", "://:", "sp_password ", "openrowset(", "identified with x or ",
        "do 'password", "do;", ";", "'a' ", "begin ", "create user a password 'x';", "host= password= ", "-- \n",
        "connection 'password=''", "grant identified by a, ",
    ],
)  # fmt: skip
@pytest.mark.parametrize("engine", sorted(DIALECTS))
def test_hostile_text_takes_steps_in_proportion(engine: str, piece: str) -> None:
    def steps(repeats: int) -> int:
        text = "create user password identified by connection '" + piece * repeats
        counted = lines_run(lambda: redact(text, engine))
        return counted + lines_run(lambda: statement_kind("with " + text, engine))

    assert steps(800) < max(steps(200), 200) * 4 * 1.5  # quadratic would be 16 times


def test_a_text_that_announces_nothing_else_loses_its_literals_in_the_end() -> None:
    text = "create user a password 'x';" * 5000 + "insert into t values ('data')"
    redacted = redact(text, "postgresql")
    assert "'x'" not in redacted.text
    assert len(redacted.secrets) == MOST_SECRETS
    assert lines_run(lambda: redact(text, "postgresql")) < 150 * (FEWEST_ANCHORS + len(text) // CHARACTERS_AN_ANCHOR)


def test_data_that_speaks_of_passwords_is_passed_over_without_a_look() -> None:
    for engine in ("mysql", "postgresql"):
        text = "insert into t (a, b) values " + ",".join(["('set the password','alice')"] * 2000)
        assert redact(text, engine).text == text
        assert lines_run(lambda text=text, engine=engine: redact(text, engine)) < 200  # type: ignore[misc]


@pytest.mark.parametrize(
    ("engine", "text", "credentials", "connections"),
    [
        ("mysql", "alter user ? identified by ?", {1}, set()),
        ("mysql", "alter user ? identified with x by ? replace /* ? */ ?", {1, 2}, set()),
        ("mysql", "set password for 'a?' = ?", {0}, set()),
        ("mysql", "update u set p = password(?) where a = ?", {0}, set()),
        ("mysql", "select '?', ? from t where password = ?", set(), set()),
        ("postgresql", "select dblink_connect($2, $1)", set(), {0, 1}),
        ("postgresql", "select $1 from t where password = $2", set(), set()),
    ],
)
def test_parameters_in_the_place_of_a_credential(
    engine: str, text: str, credentials: set[int], connections: set[int]
) -> None:
    redacted = redact(text, engine)
    assert redacted.text == text
    assert (redacted.credential_binds, redacted.connection_binds) == (credentials, connections)


def lines_run(call: Callable[[], object]) -> int:
    """Lines of Python that a call runs: the same on every machine and under every load."""
    call()  # what is compiled once is compiled now
    count = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count
