-- The database of a cluster of roost: psql -f postgres.sql, as a superuser.
CREATE ROLE roost LOGIN PASSWORD 'PASSWORD';
CREATE DATABASE roost OWNER roost ENCODING 'UTF8' TEMPLATE template0;
