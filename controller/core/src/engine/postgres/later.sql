-- Where the sequences are when the dump is done: no transaction holds them still.
set search_path = '';

select format('select json_build_object(''kind'', ''sequenceLater'', ''name'', %L, ''value'', last_value || case when is_called then '''' else '' unused'' end) from %I.%I',
  format('%I.%I', n.nspname, c.relname), n.nspname, c.relname)
from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'S' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' \gexec

select json_build_object('kind', 'end');
