"""The configuration file: what it may say, and what is said about what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from bastion.configuration import ConfigurationError, Endpoint, load, parse_endpoint, written


def config(folder: Path, text: str) -> Path:
    file = folder / "casemate.toml"
    file.write_text(text)
    return file


def test_an_empty_file_gives_the_documented_defaults(tmp_path: Path) -> None:
    configuration = load(config(tmp_path, ""))
    assert configuration.listen == Endpoint("0.0.0.0", 60022)
    assert configuration.store_url == f"sqlite:///{tmp_path}/state/casemate.sqlite3"
    assert configuration.journal_folder == tmp_path / "journal"
    assert configuration.durability == "written"
    assert configuration.host_keys == (tmp_path / "keys/host_ed25519", tmp_path / "keys/host_rsa")
    assert configuration.public_key == tmp_path / "keys/node.pub"


def test_what_init_writes_is_read_back(tmp_path: Path) -> None:
    configuration = load(config(tmp_path, written(Endpoint("127.0.0.1", 2022), "east-1")))
    assert (configuration.listen, configuration.node) == (Endpoint("127.0.0.1", 2022), "east-1")
    assert configuration.advertise is None


def test_relative_paths_are_relative_to_the_file_and_not_to_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    config(tmp_path / "there", '[state]\nfolder = "s"\nstore = "sqlite:///s/db"\n[audit]\njournal = "/var/journal"\n')
    monkeypatch.chdir(tmp_path)
    configuration = load(Path("there/casemate.toml"))
    assert configuration.state_folder == tmp_path / "there/s"
    assert configuration.store_url == f"sqlite:///{tmp_path}/there/s/db"
    assert configuration.journal_folder == Path("/var/journal")


@pytest.mark.parametrize(
    ("listen", "advertise", "told"),
    [
        ('host = "10.0.0.1"', "", "10.0.0.1:4711"),
        ('host = "10.0.0.1"', 'host = "b.example"\nport = 22', "b.example:22"),
    ],
)
def test_the_address_that_people_are_told(tmp_path: Path, listen: str, advertise: str, told: str) -> None:
    configuration = load(config(tmp_path, f"[listen]\n{listen}\n[advertise]\n{advertise}\n"))
    assert str(configuration.advertised(4711)) == told


def test_a_wildcard_address_is_never_told_to_people(tmp_path: Path) -> None:
    assert load(config(tmp_path, "")).advertised(1).host not in ("0.0.0.0", "::", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[listen]\nport = 70000", "listen.port must be a whole number from 0 to 65535, not 70000"),
        ("[listen]\nport = true", "listen.port must be a whole number"),
        ("[listen]\nhost = 5", "listen.host must be a text"),
        ("[audit]\ndurability = 'maybe'", "audit.durability must be one of written, synced, stored, not 'maybe'"),
        ("[limits]\nsession = 5", "limits.session is not known"),
        ("nodes = 'x'", "nodes is not known"),
        ("node = 'with blank'", "node must be 1 to 64 letters"),
        ("listen = 5", "listen must be a table"),
        ("[keys]\nhost = []", "keys.host must be a list of texts and not empty"),
        ("[state]\nstore = 'mysql://x'", "state.store must be sqlite:///PATH or postgresql+psycopg://"),
        ("[state]\nstore = 'sqlite://'", "state.store names no file"),
        ("[advertise]\nhost = 'x'", "advertise.host and advertise.port go together"),
        ("[listen", "is not TOML"),
    ],
)
def test_an_error_names_file_key_and_what_is_allowed(tmp_path: Path, text: str, said: str) -> None:
    file = config(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    assert str(file) in str(caught.value)
    assert said in str(caught.value)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"casemate init {tmp_path}"):
        load(tmp_path / "casemate.toml")
    with pytest.raises(ConfigurationError, match="is a folder"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bastion", Endpoint("bastion", 60022)),
        ("10.1.2.3:22", Endpoint("10.1.2.3", 22)),
        ("[2001:db8::1]:0", Endpoint("2001:db8::1", 0)),
        ("[::1]", Endpoint("::1", 60022)),
    ],
)
def test_endpoints_are_read_and_written_alike(text: str, expected: Endpoint) -> None:
    assert parse_endpoint(text) == expected
    assert parse_endpoint(str(expected)) == expected


@pytest.mark.parametrize("text", ["", ":22", "a:b", "::1", "host:99999", "ho st:1", "[::1"])
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_endpoint(text)


def test_the_served_workstation_has_defaults_and_limits(tmp_path: Path) -> None:
    settings = load(config(tmp_path, "")).workstation
    assert (settings.served, settings.sessions, settings.resume_for, settings.user, settings.socket) == (
        True, 100, 300, "", None,
    )  # fmt: skip
    text = '[workstation]\nserved = "off"\nsessions = 5\nresume_for = 0\nmemory = 0\nsocket = "ui.sock"\n'
    text += "[listen]\npeople = 60023"
    configuration = load(config(tmp_path, text))
    settings = configuration.workstation
    assert (settings.served, settings.sessions, settings.resume_for, settings.memory, settings.socket) == (
        False, 5, 0, 0, tmp_path / "ui.sock",
    )  # fmt: skip
    assert configuration.people == Endpoint("0.0.0.0", 60023)
    assert load(config(tmp_path, "")).people is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('served = "yes"', "workstation.served must be one of on, off"),
        ("memory = 1000", "workstation.memory must be 0 or at least"),
        ("resume_for = -1", "workstation.resume_for must be a whole number"),
        ('user = "a"\nsocket = "b"', "workstation.user and workstation.socket do not go together"),
    ],
)
def test_a_served_workstation_that_cannot_be_is_said_by_its_key(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        load(config(tmp_path, f"[workstation]\n{text}"))


def test_what_init_writes_serves_the_workstation(tmp_path: Path) -> None:
    assert load(config(tmp_path, written(Endpoint("127.0.0.1", 2022), "east-1"))).workstation.served
