-- Where the sequences are, as lines of JSON: no transaction holds them still. `kind` is `sequence`, or `sequenceLater` when a dump is done.
set search_path = '';

select format('select json_build_object(''kind'', %L, ''name'', %L, ''value'', last_value || case when is_called then '''' else '' unused'' end) from %s', :'kind', whole, whole)
from pg_class c join pg_namespace n on n.oid = c.relnamespace, lateral (select format('%I.%I', n.nspname, c.relname) as whole) w
where c.relkind = 'S' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e') \gexec
