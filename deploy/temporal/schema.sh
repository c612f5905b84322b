#!/bin/sh
# Brings the tables of Temporal's two databases to the version that this image of admin-tools belongs to. Safe to run
# again: what is there is left alone. temporal-sql-tool reads SQL_PASSWORD itself.
set -eu
: "${POSTGRES_SEEDS:?}" "${POSTGRES_USER:?}" "${SQL_PASSWORD:?}"

sql_tool() {
  temporal-sql-tool --plugin postgres12 --ep "$POSTGRES_SEEDS" -p 5432 -u "$POSTGRES_USER" --db "$@"
}

set_up() {
  database=$1
  folder=$2
  # In this compose file the databases are there from the first start. On another server the user may have the right to
  # create them; if not, this ends with PostgreSQL's reason.
  if ! sql_tool "$database" setup-schema -v 0.0; then
    sql_tool "$database" create
    sql_tool "$database" setup-schema -v 0.0
  fi
  sql_tool "$database" update-schema -d "/etc/temporal/schema/postgresql/v12/$folder/versioned"
}

set_up temporal temporal
set_up temporal_visibility visibility
echo "Temporal's tables are up to date"
