#!/bin/sh
# Run once, by the entrypoint of PostgreSQL's image, on a data folder that is new: makes the role
# and the database. Elsewhere: PGHOST=… sh deploy/postgres-init.sh FILE, as a superuser; FILE holds
# the password of the new role and nothing else.
set -eu
file=${1:-/run/secrets/db_password}
# Not on the command line, where every process of the machine could read it.
psql -X -q -v ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" -d postgres <<SQL
\\set password \`cat '$file'\`
CREATE ROLE provost LOGIN PASSWORD :'password';
CREATE DATABASE provost OWNER provost TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';
REVOKE ALL ON DATABASE provost FROM PUBLIC;
\\connect provost
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO provost;
SQL
