-- Gives what the loader made to the one user of the database. What an extension brings stays as it is.
select format('alter schema %I owner to %I', n.nspname, :'owner') from pg_namespace n
where n.nspowner = 10 and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'public')
  and not exists (select from pg_depend d where d.classid = 'pg_namespace'::regclass and d.objid = n.oid and d.deptype = 'e') \gexec

select format('alter %s %s owner to %I', case c.relkind when 'S' then 'sequence' when 'v' then 'view' when 'm' then 'materialized view'
  when 'f' then 'foreign table' else 'table' end, c.oid::regclass, :'owner')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and c.relowner = 10 and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and (d.deptype = 'e'
    or c.relkind = 'S' and d.deptype in ('a', 'i') and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0)) \gexec

select format('alter %s %s owner to %I', case p.prokind when 'a' then 'aggregate' when 'p' then 'procedure' else 'function' end,
  p.oid::regprocedure, :'owner')
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where p.proowner = 10 and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype in ('e', 'i')) \gexec

select format('alter type %s owner to %I', t.oid::regtype, :'owner')
from pg_type t join pg_namespace n on n.oid = t.typnamespace left join pg_class c on c.oid = t.typrelid
where t.typowner = 10 and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and t.typtype in ('c', 'd', 'e', 'r')
  and (c.oid is null or c.relkind = 'c')
  and not exists (select from pg_depend d where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype in ('e', 'i')) \gexec

select format('alter large object %s owner to %I', o.oid, :'owner') from pg_largeobject_metadata o where o.lomowner = 10 \gexec
