"""Accounts, sessions, keys, switches of agents, notes of requests, live readings.

Nothing here notifies: whoever changes a row of these tables appends an event, and that does. A credential that is
used, and a reading that is published, must wake nobody.
"""

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.String(27)
WORD = sa.String(16)
HASH = sa.String(64)
NAME = sa.String(100)


def upgrade() -> None:
    """Add them."""
    op.add_column("requests", sa.Column("note", sa.Text(), nullable=False, server_default=""))
    _users()
    _sessions()
    _keys()
    _switches()
    if op.get_bind().dialect.name == "postgresql":
        _live()


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("name", NAME, nullable=False),
        sa.Column("role", WORD, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("must_change", sa.Boolean(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("last_login", TIME, nullable=True),
        sa.Column("version", ID, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_users"),
    )


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", ID, nullable=False),
        sa.Column("token_hash", HASH, nullable=False),
        sa.Column("owner", NAME, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("expires", TIME, nullable=False),
        sa.Column("last_used", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.ForeignKeyConstraint(["owner"], ["users.name"], name="fk_sessions_owner"),
        sa.UniqueConstraint("token_hash", name="uq_sessions_token_hash"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sessions_owner", "sessions", ["owner"])


def _keys() -> None:
    op.create_table(
        "keys",
        sa.Column("id", ID, nullable=False),
        sa.Column("key_hash", HASH, nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("owner", NAME, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("scope", WORD, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("expires", TIME, nullable=False),
        sa.Column("last_used", TIME, nullable=True),
        sa.Column("revoked", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.ForeignKeyConstraint(["owner"], ["users.name"], name="fk_keys_owner"),
        sa.UniqueConstraint("key_hash", name="uq_keys_key_hash"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_keys_owner", "keys", ["owner"])


def _switches() -> None:
    op.create_table(
        "switches",
        sa.Column("agent", sa.String(200), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("version", ID, nullable=False),
        sa.PrimaryKeyConstraint("agent", name="pk_switches"),
    )


def _live() -> None:
    """Empty after a crash of the server, and never written to its log; room in each page for the next update."""
    op.create_table(
        "live",
        sa.Column("section", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("section", name="pk_live"),
        prefixes=["UNLOGGED"],
        postgresql_with={"fillfactor": 50},
    )
