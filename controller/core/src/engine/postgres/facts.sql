-- What is in the database, as lines of JSON: what a dump holds, and nothing that an extension brings. Names are whole, because nothing is
-- looked for in any schema but the server's own. What a definition says is left out: a restored one may be written otherwise.
set search_path = '';
set row_security = off;

\set class 'with class as (select c.*, format(''%I.%I'', n.nspname, c.relname) as whole from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname !~ ''^pg_'' and n.nspname <> ''information_schema'' and not exists (select from pg_depend d where d.classid = ''pg_class''::regclass and d.objid = c.oid and d.deptype = ''e'')) '

select json_build_object('kind', 'database', 'name', d.datname, 'value', json_build_object(
  'encoding', pg_encoding_to_char(d.encoding), 'collate', d.datcollate, 'ctype', d.datctype,
  'provider', coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'),
  'locale', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'))::text)
from pg_database d where d.datname = current_database();

select json_build_object('kind', 'role', 'name', r.rolname)
from pg_roles r where r.rolname !~ '^pg_' and exists (
  select from pg_shdepend s where s.refclassid = 'pg_authid'::regclass and s.refobjid = r.oid
    and s.dbid in (0, (select oid from pg_database where datname = current_database())));

select json_build_object('kind', 'extension', 'name', extname, 'value', extversion) from pg_extension;

-- An index may call functions that are found on the user's own path alone, and without them no row is counted.
reset search_path;
:class select format('select json_build_object(''kind'', ''table'', ''name'', %L, ''value'', count(*)::text) from only %s', whole, whole)
from class where relkind = 'r' order by relpages desc \gexec

set search_path = '';

:class select json_build_object('kind', case relkind when 'm' then 'materializedView' else 'view' end, 'name', whole)
from class where relkind in ('v', 'm');

:class select json_build_object('kind', 'index', 'name', i.whole, 'of', t.whole, 'value', format('%s%s of %s', case when x.indisunique then 'unique ' else '' end,
  (select amname from pg_am where oid = i.relam), x.indnatts))
from pg_index x join class t on t.oid = x.indrelid join class i on i.oid = x.indexrelid where x.indisvalid or t.relkind = 'p';

:class select json_build_object('kind', 'constraint', 'name', format('%s.%I', t.whole, c.conname), 'of', t.whole, 'value',
  format('%s%s', case c.contype when 'p' then 'primary key' when 'f' then 'foreign key' when 'u' then 'unique' when 'c' then 'check' when 'n' then 'not null' when 'x' then 'exclusion' else c.contype::text end,
    case when c.convalidated then '' else ', not valid' end))
from pg_constraint c join class t on t.oid = c.conrelid where c.conparentid = 0;

:class select json_build_object('kind', 'trigger', 'name', format('%s.%I', t.whole, g.tgname), 'of', t.whole, 'value', g.tgenabled::text)
from pg_trigger g join class t on t.oid = g.tgrelid where not g.tgisinternal and t.relkind <> 'f' and g.tgparentid = 0;

select json_build_object('kind', 'function', 'name', p.oid::regprocedure::text)
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype in ('e', 'i'));

select json_build_object('kind', 'largeObjects', 'value', count(*)::text) from pg_largeobject_metadata;
