# shellcheck shell=bash
# Servers: PostgreSQL and Garage (S3), each on a free loopback port with its data in the temporary folder `work`.
# Sourced by scripts/test. What is started here is stopped by `stop_servers`, by process id.

servers_started=
postgres_data=
garage_pid=

# need_servers: starts them once, and says in the environment where they are.
need_servers() {
    if [[ -n $servers_started ]]; then
        return
    fi
    need_postgres
    need_garage
    need_python
    need_vo_tools
    start_postgres >"$logs/postgres.log" 2>&1 || server_failed postgres
    start_garage >"$logs/garage.log" 2>&1 || server_failed garage
    export ALMAGEST_TEST_NO_SKIP=1
    servers_started=yes
}

server_failed() {
    tail -n 40 "$logs/$1.log" | sed 's/^/    /'
    give_up "$1 could not be started"
}

# free_ports N: so many ports that nobody listens at.
free_ports() {
    "$ALMAGEST_TEST_PYTHON" - "$1" <<'END'
import socket, sys
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(server.getsockname()[1] for server in held))
END
}

# PostgreSQL refuses to run as root; then it runs as the user that its package made.
as_postgres() {
    if ((EUID == 0)); then
        runuser -u postgres -- "$@"
    else
        "$@"
    fi
}

start_postgres() {
    local port folder="$work/postgres"
    port=$(free_ports 1) || return
    mkdir "$folder"
    if ((EUID == 0)); then
        chmod 711 "$work"
        chown postgres "$folder"
    fi
    (
        cd "$folder"
        as_postgres "$postgres_programs/initdb" --pgdata=data --username=almagest --auth=trust --encoding=UTF8 \
            --locale=C --no-sync
    ) || return
    postgres_data="$folder/data"
    # Its data need not outlive the machine, only its own crash.
    as_postgres "$postgres_programs/pg_ctl" start --pgdata="$postgres_data" --wait --timeout=60 --log="$folder/log" \
        --options="-p $port -k $folder -c listen_addresses=127.0.0.1 -c fsync=off" || { cat "$folder/log"; return 1; }
    "$postgres_programs/createdb" --host=127.0.0.1 --port="$port" --username=almagest almagest || return
    export ALMAGEST_TEST_POSTGRES_URL="postgres://almagest@127.0.0.1:$port/almagest"
}

start_garage() {
    local s3 rpc folder="$work/garage"
    read -r s3 rpc < <(free_ports 2)
    mkdir "$folder"
    cat >"$folder/garage.toml" <<END
metadata_dir = "$folder/meta"
data_dir = "$folder/data"
db_engine = "lmdb"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:$rpc"
rpc_public_addr = "127.0.0.1:$rpc"
rpc_secret = "$(random_hex 32)"

[s3_api]
s3_region = "garage"
api_bind_addr = "127.0.0.1:$s3"
END
    export ALMAGEST_TEST_S3_ENDPOINT="http://127.0.0.1:$s3" ALMAGEST_TEST_S3_REGION=garage
    export ALMAGEST_TEST_S3_BUCKET=almagest-test
    ALMAGEST_TEST_S3_ACCESS_KEY_ID=GK$(random_hex 12)
    ALMAGEST_TEST_S3_SECRET_ACCESS_KEY=$(random_hex 32)
    export ALMAGEST_TEST_S3_ACCESS_KEY_ID ALMAGEST_TEST_S3_SECRET_ACCESS_KEY
    GARAGE_DEFAULT_ACCESS_KEY=$ALMAGEST_TEST_S3_ACCESS_KEY_ID \
        GARAGE_DEFAULT_SECRET_KEY=$ALMAGEST_TEST_S3_SECRET_ACCESS_KEY \
        GARAGE_DEFAULT_BUCKET=$ALMAGEST_TEST_S3_BUCKET \
        garage -c "$folder/garage.toml" server --single-node --default-bucket >"$folder/log" 2>&1 &
    garage_pid=$!

    local begun=$SECONDS
    until garage -c "$folder/garage.toml" bucket info "$ALMAGEST_TEST_S3_BUCKET"; do
        if ! kill -0 "$garage_pid" || ((SECONDS - begun > 30)); then
            cat "$folder/log"
            return 1
        fi
        sleep 0.1
    done
}

random_hex() { od -An -v -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

stop_servers() {
    if [[ -n $garage_pid ]]; then
        kill -TERM "$garage_pid" 2>/dev/null || true
        wait "$garage_pid" 2>/dev/null || true
    fi
    if [[ -n $postgres_data ]]; then
        as_postgres "$postgres_programs/pg_ctl" stop --pgdata="$postgres_data" --mode=immediate --wait >/dev/null 2>&1 || true
    fi
}
