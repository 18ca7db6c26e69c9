"""Run by Alembic: the migrations belong to the transaction of the connection they are given."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
