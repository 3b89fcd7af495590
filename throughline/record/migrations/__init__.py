"""The way from any earlier schema to the current one, run in code: ``record.migrate()``.

Each file in versions/ is one step and stays as it was when it was released. What always holds: one process migrates at a time, the
others wait for it; a step is a transaction.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from throughline.errors import ConfigurationError, Problem
from throughline.record.database import Database
from throughline.record.schema import SCHEMA_VERSION

_FOLDER = Path(__file__).parent


def upgrade(database: Database) -> None:
    """Bring ``database`` to the current schema. Raises ConfigurationError for one that a newer release has made."""
    if _version(database) == SCHEMA_VERSION:
        return
    # Alembic costs a quarter of a second to import, and a database that is up to date needs none of it.
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    with database.migrating() as connection:
        config = Config()
        config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise ConfigurationError(
                [Problem("database", f"its schema is not one of this release ({error}).", "Run the release it belongs to.")]
            ) from error


def _version(database: Database) -> Any:
    if not database.has_table("alembic_version"):
        return None
    with database.reading() as connection:
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
