"""Alembic's entry point; :mod:`beamctl.store.open` calls it with a connection in a transaction.

A new revision is a new file ``versions/rNNNN_what.py`` with explicit operations, its name at the end of
``beamctl.store.schema.REVISIONS``; a test compares the outcome with the tables of that module. A revision that was
released is never edited.
"""

from alembic import context

from beamctl.store.schema import VERSION_TABLE, Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
