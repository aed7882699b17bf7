"""The first tables, and the triggers that keep them honest."""

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.String(27)
WORD = sa.String(16)
HASH = sa.String(64)
EXACT = sa.LargeBinary(8)

SQLITE_TRIGGERS = """
CREATE TRIGGER events_keep BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events is append-only'); END;
CREATE TRIGGER events_stay BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events is append-only'); END;
CREATE TRIGGER events_once BEFORE INSERT ON events WHEN EXISTS (SELECT 1 FROM events WHERE seq = NEW.seq)
BEGIN SELECT RAISE(ABORT, 'events is append-only'); END;
CREATE TRIGGER refusals_keep BEFORE UPDATE ON refusals BEGIN SELECT RAISE(ABORT, 'refusals is append-only'); END;
CREATE TRIGGER refusals_stay BEFORE DELETE ON refusals BEGIN SELECT RAISE(ABORT, 'refusals is append-only'); END;
CREATE TRIGGER intents_stay BEFORE DELETE ON intents BEGIN SELECT RAISE(ABORT, 'intents is append-only'); END;
CREATE TRIGGER intents_settle_once BEFORE UPDATE ON intents
WHEN (OLD.outcome IS NOT NULL AND OLD.outcome <> 'unknown')
  OR (NEW.id, NEW.run, NEW.seq, NEW.pv, NEW.old, NEW.new, NEW.written)
  IS NOT (OLD.id, OLD.run, OLD.seq, OLD.pv, OLD.old, OLD.new, OLD.written)
BEGIN SELECT RAISE(ABORT, 'an intent is settled once'); END;
"""

POSTGRESQL_TRIGGERS = """
CREATE FUNCTION beamctl_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only', ERRCODE = 'integrity_constraint_violation'; END $$;
CREATE TRIGGER events_keep BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION beamctl_refuse();
CREATE TRIGGER events_stay BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION beamctl_refuse();
CREATE TRIGGER refusals_keep BEFORE UPDATE OR DELETE ON refusals FOR EACH ROW EXECUTE FUNCTION beamctl_refuse();
CREATE TRIGGER refusals_stay BEFORE TRUNCATE ON refusals FOR EACH STATEMENT EXECUTE FUNCTION beamctl_refuse();
CREATE TRIGGER intents_keep BEFORE DELETE ON intents FOR EACH ROW EXECUTE FUNCTION beamctl_refuse();
CREATE TRIGGER intents_stay BEFORE TRUNCATE ON intents FOR EACH STATEMENT EXECUTE FUNCTION beamctl_refuse();
CREATE TRIGGER intents_settle_once BEFORE UPDATE ON intents FOR EACH ROW
WHEN ((OLD.outcome IS NOT NULL AND OLD.outcome <> 'unknown')
  OR (NEW.id, NEW.run, NEW.seq, NEW.pv, NEW.old, NEW.new, NEW.written)
  IS DISTINCT FROM (OLD.id, OLD.run, OLD.seq, OLD.pv, OLD.old, OLD.new, OLD.written))
EXECUTE FUNCTION beamctl_refuse();
CREATE FUNCTION beamctl_notify() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
PERFORM pg_notify('beamctl', TG_TABLE_NAME); RETURN NULL; END $$;
CREATE TRIGGER requests_notify AFTER INSERT OR UPDATE ON requests FOR EACH STATEMENT EXECUTE FUNCTION beamctl_notify();
CREATE TRIGGER commands_notify AFTER INSERT OR UPDATE ON commands FOR EACH STATEMENT EXECUTE FUNCTION beamctl_notify();
CREATE TRIGGER runs_notify AFTER INSERT OR UPDATE ON runs FOR EACH STATEMENT EXECUTE FUNCTION beamctl_notify();
CREATE TRIGGER events_notify AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION beamctl_notify();
"""


def upgrade() -> None:
    """Create everything."""
    _requests_and_runs()
    _events()
    _intents_and_samples()
    _refusals_and_leases()
    text = SQLITE_TRIGGERS if op.get_bind().dialect.name == "sqlite" else POSTGRESQL_TRIGGERS
    for statement in text.split("CREATE ")[1:]:
        op.execute(f"CREATE {statement}")


def _requests_and_runs() -> None:
    op.create_table(
        "requests",
        sa.Column("id", ID, nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("section", sa.Text(), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=True),
        sa.Column("budgets", sa.Text(), nullable=True),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("needs_approval", sa.Boolean(), nullable=False),
        sa.Column("idempotency_key", sa.String(200), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_requests"),
        sa.UniqueConstraint("idempotency_key", name="uq_requests_idempotency_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_requests_state", "requests", ["state"])
    op.create_table(
        "runs",
        sa.Column("id", ID, nullable=False),
        sa.Column("request", ID, nullable=True),
        sa.Column("section", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("agent_hashes", sa.Text(), nullable=True),
        sa.Column("configuration_hash", sa.Text(), nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("started", TIME, nullable=False),
        sa.Column("ended", TIME, nullable=True),
        sa.Column("snapshot", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.ForeignKeyConstraint(["request"], ["requests.id"], name="fk_runs_request"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_runs_request", "runs", ["request"])
    still = sa.text("ended IS NULL")
    op.create_index(
        "ix_runs_one_per_section", "runs", ["section"], unique=True, sqlite_where=still, postgresql_where=still
    )
    op.create_table(
        "commands",
        sa.Column("id", ID, nullable=False),
        sa.Column("run", ID, nullable=False),
        sa.Column("verb", WORD, nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("taken", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_commands"),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_commands_run"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_commands_run", "commands", ["run"])


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("seq", ID, nullable=False, autoincrement=False),
        sa.Column("run", ID, nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("previous", HASH, nullable=False),
        sa.Column("hash", HASH, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_events"),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_events_run"),
    )
    op.create_index("ix_events_run", "events", ["run"])
    chain = op.create_table(
        "chain",
        sa.Column("id", ID, nullable=False, autoincrement=False),
        sa.Column("seq", ID, nullable=False),
        sa.Column("hash", HASH, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_chain"),
    )
    op.bulk_insert(chain, [{"id": 1, "seq": 0, "hash": "0" * 64}])


def _intents_and_samples() -> None:
    op.create_table(
        "intents",
        sa.Column("id", ID, nullable=False),
        sa.Column("run", ID, nullable=False),
        sa.Column("seq", ID, nullable=False),
        sa.Column("pv", sa.Text(), nullable=False),
        sa.Column("old", sa.Double(), nullable=False),
        sa.Column("new", sa.Double(), nullable=False),
        sa.Column("written", TIME, nullable=False),
        sa.Column("outcome", WORD, nullable=True),
        sa.Column("held", sa.Double(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("settled", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_intents"),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_intents_run"),
        sa.UniqueConstraint("run", "seq", "pv", name="uq_intents_run_seq_pv"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "samples",
        sa.Column("id", ID, nullable=False),
        sa.Column("run", ID, nullable=False),
        sa.Column("step", ID, nullable=False),
        sa.Column("pv", sa.Text(), nullable=False),
        sa.Column("value", EXACT, nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("severity", ID, nullable=False),
        sa.Column("status", ID, nullable=False),
        sa.Column("stamp", EXACT, nullable=False),
        sa.Column("received", EXACT, nullable=False),
        sa.Column("seq", ID, nullable=False),
        sa.Column("connected", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_samples"),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_samples_run"),
    )
    op.create_index("ix_samples_run_step", "samples", ["run", "step"])


def _refusals_and_leases() -> None:
    op.create_table(
        "refusals",
        sa.Column("id", ID, nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_refusals"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("token", ID, nullable=False),
        sa.Column("heartbeat", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
