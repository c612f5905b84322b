#!/bin/sh
# Runs once, when PostgreSQL's volume is empty: users who can't see each other's databases. Temporal's gets its two
# from here rather than the right to create any; the ledger's has one who owns the tables and one who works with them.
#
# No `set` here: PostgreSQL's entrypoint runs this file inside its own shell unless it is executable. psql is the only
# command and stops at the first error. It reads the passwords itself, so that no argument list shows them.
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv ledger_password LEDGER_DATABASE_PASSWORD
\getenv service_password LEDGER_SERVICE_PASSWORD
\getenv temporal_password TEMPORAL_DATABASE_PASSWORD

CREATE ROLE paysaga LOGIN PASSWORD :'ledger_password';
CREATE ROLE paysaga_application NOLOGIN;
CREATE ROLE paysaga_service LOGIN PASSWORD :'service_password' IN ROLE paysaga_application;
-- Of max_connections=200 in docker-compose.yml: however busy Temporal is, the ledger gets its connections.
CREATE ROLE temporal LOGIN PASSWORD :'temporal_password' CONNECTION LIMIT 150;

CREATE DATABASE paysaga OWNER paysaga;
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;

REVOKE ALL ON DATABASE paysaga, temporal, temporal_visibility FROM PUBLIC;
SQL
