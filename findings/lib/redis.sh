# shellcheck shell=bash
# A Redis server of its own for a finding, on a port of loopback, and redis-py: sourced after common.sh. Sets `port` and `server` (its pid).
pip_install redis==8.1.0
debs 'redis-server=5:7.0.15*' 'redis-tools=5:7.0.15*' libjemalloc2 liblzf1 liblua5.1-0 lua-bitop lua-cjson libhiredis0.14
port=$(free_port)
redis-server --version | cut -d' ' -f1-3
redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$T" >"$T/redis.log" &
server=$!
started+=("$server")
until_true redis-cli -p "$port" ping
