"""The settings that keep runs safe."""

from __future__ import annotations

import pytest

from webapp import celery


@pytest.mark.parametrize(
    ("url", "spelt"),
    [
        ("redis://cache:6379/2", "redis://cache:6379/2"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock?virtual_host=0"),
        ("unix:///run/redis.sock?db=3", "redis+socket:///run/redis.sock?virtual_host=3"),
    ],
)
def test_a_redis_url_is_spelt_as_celery_wants_it(url: str, spelt: str) -> None:
    assert celery.broker_url(url) == spelt


def test_the_settings_are_safe() -> None:
    celery.check()


@pytest.mark.parametrize(("name", "value"), [("task_acks_late", True), ("accept_content", ["json", "pickle"])])
def test_an_unsafe_setting_refuses_to_boot(monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> None:
    monkeypatch.setitem(celery.app.conf, name, value)
    with pytest.raises(celery.UnsafeSettings, match=name):
        celery.check()
