"""The demo's state: private, kept, used by one demo at a time, and somewhere the servers can run."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from webapp.demo.home import Home, Login, Occupied


@pytest.fixture
def checkout() -> Iterator[Path]:
    """A short folder that everybody may pass."""
    with tempfile.TemporaryDirectory(prefix="checkout-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_servers_live_in_the_checkout_where_they_can(checkout: Path) -> None:
    assert Home(checkout).servers == checkout / "var"


def test_servers_stay_where_they_are_once_their_folder_is_private(checkout: Path) -> None:
    (Home(checkout).servers / "pg").mkdir(mode=0o700)
    assert Home(checkout).servers == checkout / "var"


def test_servers_move_where_a_socket_path_would_be_too_long(checkout: Path) -> None:
    deep = checkout / ("deep" * 25)
    deep.mkdir()
    servers = Home(deep).servers
    try:
        assert servers.parent == Path("/var/tmp")
        assert Home(deep).servers == servers
    finally:
        servers.rmdir()


def test_secret_key_is_made_once_and_private(checkout: Path) -> None:
    key = Home(checkout).secret_key()
    assert len(key) >= 50
    assert Home(checkout).secret_key() == key
    assert stat.S_IMODE((checkout / "var" / "secret_key").stat().st_mode) == 0o600


def test_login_is_kept_and_private(checkout: Path) -> None:
    login = Login("demo", "password", "token")
    Home(checkout).keep(login)
    assert Home(checkout).login() == login
    assert stat.S_IMODE((checkout / "var" / "credentials.json").stat().st_mode) == 0o600


def test_second_demo_of_a_checkout_is_refused(checkout: Path) -> None:
    with Home(checkout).lock(), pytest.raises(Occupied, match="already running"), Home(checkout).lock():
        pass
    with Home(checkout).lock():
        pass
