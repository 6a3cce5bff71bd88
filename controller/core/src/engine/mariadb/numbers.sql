-- What comes next, as lines of JSON: no transaction holds it still. With @at = 'Later' it is where sequences are when the dump is done.
delimiter //
begin not atomic
  for s in (select table_name as name from information_schema.tables where table_schema = database() and table_type = 'SEQUENCE') do
    execute immediate concat('select json_object(''kind'', ''sequence', ifnull(@at, ''), ''', ''name'', ', quote(s.name),
      ', ''value'', cast(next_not_cached_value as char)) from `', replace(s.name, '`', '``'), '`');
  end for;
end//
delimiter ;

select json_object('kind', 'autoIncrement', 'name', table_name, 'value', cast(auto_increment as char))
from information_schema.tables where table_schema = database() and table_type = 'BASE TABLE' and auto_increment is not null and @at is null;
