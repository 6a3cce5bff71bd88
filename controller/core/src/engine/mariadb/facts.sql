-- What is in the database, as lines of JSON: what a dump holds. What a definition says is left out: a restored one may be written otherwise.
set session sql_mode = '', max_statement_time = 0, time_zone = '+00:00';

select json_object('kind', 'database', 'name', schema_name, 'value', concat(default_character_set_name, ' ', default_collation_name))
from information_schema.schemata where schema_name = database();

delimiter //
begin not atomic
  for t in (select table_name as name, engine from information_schema.tables
      where table_schema = database() and table_type = 'BASE TABLE' order by data_length desc) do
    execute immediate concat('select json_object(''kind'', ''table'', ''name'', ', quote(t.name),
      if(t.engine = 'InnoDB', '', concat(', ''engine'', ', quote(t.engine))), ', ''value'', cast(count(*) as char)) from `',
      replace(t.name, '`', '``'), '`');
  end for;
end//
delimiter ;

select json_object('kind', 'column', 'name', concat(c.table_name, '.', c.column_name), 'of', c.table_name, 'value',
  concat_ws(' ', c.column_type, c.collation_name, if(c.is_nullable = 'NO', 'not null', null), nullif(c.extra, '')))
from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
where table_schema = database() and t.table_type <> 'SEQUENCE';

select json_object('kind', 'view', 'name', table_name) from information_schema.views where table_schema = database();

select json_object('kind', 'index', 'name', concat(table_name, '.', index_name), 'of', table_name, 'value', concat(if(non_unique, '', 'unique '), index_type, ' of ',
  group_concat(concat(column_name, ifnull(concat('(', sub_part, ')'), '')) order by seq_in_index separator ', ')))
from information_schema.statistics where table_schema = database() group by table_name, index_name, non_unique, index_type;

select json_object('kind', 'constraint', 'name', concat(c.table_name, '.', c.constraint_name), 'of', c.table_name, 'value',
  concat(lower(c.constraint_type), ifnull(concat(' to ', r.referenced_table_name), '')))
from information_schema.table_constraints c left join information_schema.referential_constraints r
  on r.constraint_schema = c.constraint_schema and r.table_name = c.table_name and r.constraint_name = c.constraint_name
where c.table_schema = database() and c.constraint_type in ('FOREIGN KEY', 'CHECK');

select json_object('kind', 'trigger', 'name', trigger_name, 'of', event_object_table, 'value', lower(concat(action_timing, ' ', event_manipulation)))
from information_schema.triggers where trigger_schema = database();

select json_object('kind', lower(routine_type), 'name', routine_name) from information_schema.routines
where routine_schema = database();

select json_object('kind', 'event', 'name', event_name, 'value', lower(status)) from information_schema.events where event_schema = database();
