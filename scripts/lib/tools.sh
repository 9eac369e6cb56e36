# shellcheck shell=bash
# Tools: installs what is missing. Sourced by scripts/test, which sets `cache` and `logs`.
#
# Debian packages come from apt; Rust and Python tools go to the cache folder, each under its version, so that a second run
# finds them and a new version does not meet the old one's remains.

nextest_version=0.9.143
deny_version=0.20.2
garage_version=2.5.0

as_root() { if ((EUID == 0)); then "$@"; else sudo "$@"; fi; }

# need_packages PACKAGE…: installs the Debian packages that are not there.
need_packages() {
    local missing=() package
    for package in "$@"; do
        [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
            missing+=("$package")
    done
    if ((${#missing[@]} == 0)); then
        return
    fi
    command -v apt-get >/dev/null || give_up "these Debian packages, or their like, are needed: ${missing[*]}"
    # Asks for the password now, because the installation itself runs without a terminal.
    ((EUID == 0)) || sudo --validate || give_up "root is needed to install these packages: ${missing[*]}"
    timed packages install_packages "${missing[@]}"
}

install_packages() {
    # Without this the package of PostgreSQL would start a server of its own, and leave it running.
    local no_cluster=/etc/postgresql-common/createcluster.d/almagest-test.conf
    as_root mkdir -p "${no_cluster%/*}"
    as_root tee "$no_cluster" >/dev/null <<<'create_main_cluster = false'
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@")
    as_root "${install[@]}" || { as_root apt-get update && as_root "${install[@]}"; }
    local status=$?
    as_root rm -f "$no_cluster"
    return "$status"
}

# timed NAME COMMAND…: an installation that the tests cannot do without.
timed() {
    local name=$1 log="$logs/$1.log" begun=$SECONDS
    echo "$name: installing, log in $log"
    if ! logged "$@"; then
        tail -n 40 "$log" | sed 's/^/    /'
        give_up "$name could not be installed"
    fi
    times+=("$(printf '%-13s %6d s   installed' "$name" $((SECONDS - begun)))")
}

# need_crate CRATE VERSION PROGRAM OPT_LEVEL ARGUMENT…: a program from the Rust package registry, put on the PATH.
need_crate() {
    local crate=$1 version=$2 program=$3 level=$4
    local root="$cache/$crate-$version"
    if [[ ! -x $root/bin/$program ]]; then
        timed "$crate" install_crate "$crate" "$version" "$root" "$level" "${@:5}"
    fi
    PATH="$root/bin:$PATH"
}

# Built for a short build, not for speed, in a folder that is removed afterwards.
install_crate() {
    local crate=$1 version=$2 root=$3 level=$4 build="$cache/build-$1-$2" status=0
    (
        cd /
        export CARGO_PROFILE_RELEASE_OPT_LEVEL=$level CARGO_PROFILE_RELEASE_LTO=off
        export CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=0
        cargo install --locked --root "$root" --target-dir "$build" "${@:5}" "$crate@$version"
    ) || status=$?
    rm -rf "$build"
    return "$status"
}

need_nextest() {
    command -v cargo-nextest >/dev/null || need_crate cargo-nextest "$nextest_version" cargo-nextest 0
}

need_cargo_deny() {
    command -v cargo-deny >/dev/null || need_crate cargo-deny "$deny_version" cargo-deny 0
}

# Garage hashes and signs all that it is sent, so it gets a little of the optimiser.
need_garage() {
    need_packages libsodium-dev pkg-config
    SODIUM_USE_PKG_CONFIG=1 need_crate garage "$garage_version" garage 1 --no-default-features --features lmdb,bundled-libs
}

need_postgres() {
    need_packages postgresql
    local folder
    # The newest, if there are several.
    folder=$(find /usr/lib/postgresql -path '*/bin/initdb' | sort -V | tail -n 1)
    [[ -n $folder ]] || give_up "the package postgresql brought no initdb"
    postgres_programs=${folder%/initdb}
}

# A virtual environment with exactly the packages of the lock file, named after the lock's checksum and Python's version.
need_python() {
    if [[ -n ${ALMAGEST_TEST_PYTHON-} ]]; then
        return
    fi
    local lock=tests/clients/requirements.lock python sum folder
    if ! python=$(find_python); then
        need_packages python3 python3-venv
        python=$(find_python) || give_up "Python 3.11 or newer is needed"
    fi
    sum=$({ "$python" --version && cat "$lock"; } | sha256sum | cut -c1-16)
    folder="$cache/python-$sum"
    if [[ ! -e $folder/complete ]]; then
        timed python install_python "$python" "$folder" "$lock"
    fi
    export ALMAGEST_TEST_PYTHON="$folder/bin/python"
}

find_python() {
    local python
    for python in python3.11 python3 /usr/bin/python3; do
        if "$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
    return 1
}

install_python() {
    rm -rf "$2"
    "$1" -m venv "$2" &&
        "$2/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --requirement "$3" &&
        touch "$2/complete"
}

need_vo_tools() {
    need_packages stilts libxml2-utils
    ALMAGEST_TEST_STILTS=$(command -v stilts)
    ALMAGEST_TEST_XMLLINT=$(command -v xmllint)
    export ALMAGEST_TEST_STILTS ALMAGEST_TEST_XMLLINT
}
