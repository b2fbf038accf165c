"""The embedded servers are the real thing."""

import pytest
from django.db import connection


@pytest.mark.django_db
def test_postgres_is_18() -> None:
    with connection.cursor() as cursor:
        cursor.execute("show server_version_num")
        assert int(cursor.fetchone()[0]) >= 180000
