-- What a dump counts on, in a server that has nothing yet: the roles that it names, without a password, and an empty database of the same
-- encoding and locale. `facts` is the file that says them.
create temporary table facts (fact jsonb);
\copy facts from pstdin with (format csv, delimiter E'\x02', quote E'\x01')

select format('create role %I', fact ->> 'name') from facts where fact ->> 'kind' = 'role'
  and not exists (select from pg_roles where rolname = fact ->> 'name') \gexec

select format('create database %I template template0 encoding %L lc_collate %L lc_ctype %L%s', fact ->> 'name',
  value ->> 'encoding', value ->> 'collate', value ->> 'ctype', case value ->> 'provider' when 'i' then format(' locale_provider icu icu_locale %L', value ->> 'locale')
    when 'b' then format(' locale_provider builtin builtin_locale %L', value ->> 'locale') else '' end)
from facts, lateral (select (fact ->> 'value')::jsonb as value) v where fact ->> 'kind' = 'database' \gexec
