#!/usr/bin/env bash
# scripts/setup.sh build|bench|test
#
# Sees to it that what the command needs is on this machine: installs it with apt (as root or
# through sudo), or says in one line what to install. Does nothing, quickly, when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

what=${1:?build, bench or test}
log=target/setup.log
venv=target/venv
requirements=tests/python/requirements.txt
web=server/web
node=tests/node
mkdir -p target

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

have_libpq() { have pg_config || pkg-config --exists libpq 2>/dev/null; }

have_postgres_server() {
  local dir
  for dir in /usr/lib/postgresql/*/bin; do
    [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] && return 0
  done
  have initdb && have postgres
}

have_chromium() { have chromium || have chromium-browser || have google-chrome; }

packages=() missing=()
need() { # need PACKAGE DESCRIPTION COMMAND…: the package is wanted if the command fails
  local package=$1 description=$2
  shift 2
  "$@" || { packages+=("$package"); missing+=("$description"); }
}

install_packages() {
  local sudo=()
  if ! have apt-get; then
    die "please install: $(IFS=,; echo "${missing[*]}" | sed 's/,/, /g')"
  elif [ "$(id -u)" != 0 ]; then
    # never wait for a password nobody is there to type
    if have sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
      sudo=(sudo)
    else
      die "please install: apt-get install ${packages[*]}"
    fi
  fi
  say "installing ${packages[*]} with apt"

  # Debian starts a server of its own when it installs PostgreSQL. The tests start theirs, so
  # this machine is left without one.
  local conf=/etc/postgresql-common/createcluster.d/scrutineer.conf
  if [[ " ${packages[*]} " == *" postgresql "* ]]; then
    "${sudo[@]}" mkdir -p "${conf%/*}"
    echo 'create_main_cluster = false' | "${sudo[@]}" tee "$conf" >/dev/null
  fi
  local get=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq)
  local install=("${get[@]}" install -y --no-install-recommends "${packages[@]}")
  local rc=0
  "${install[@]}" >"$log" 2>&1 </dev/null ||
    { "${get[@]}" update >>"$log" 2>&1 && "${install[@]}" >>"$log" 2>&1 </dev/null; } || rc=$?
  [ ! -e "$conf" ] || "${sudo[@]}" rm -f "$conf"
  if [ "$rc" != 0 ]; then
    tail -n 5 "$log" >&2
    die "apt could not install ${packages[*]} (the rest of its words: $log)"
  fi
}

install_python() {
  if [ ! -f "$requirements" ]; then
    say "no $requirements: the checks by independent Python libraries have nothing to run with"
    return
  fi
  # The copy beside the environment is written last, so half an installation is never taken for one.
  if [ -x "$venv/bin/python" ] && cmp -s "$requirements" "$venv/requirements.txt"; then
    return
  fi
  say "installing the Python packages of $requirements in $venv"
  rm -rf "$venv"
  if ! { python3 -m venv "$venv" && "$venv/bin/python" -m pip install -q -r "$requirements"; } >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    die "could not install the Python packages (the rest of pip's words: $log)"
  fi
  cp "$requirements" "$venv/requirements.txt"
}

install_node() { # install_node FOLDER: the packages that its lock file names
  # The copy of the lock file is written last, so half an installation is never taken for one.
  if cmp -s "$1/package-lock.json" "$1/node_modules/.installed"; then
    return
  fi
  say "installing the Node packages of $1/package.json in $1/node_modules"
  if ! npm ci --prefix "$1" --ignore-scripts --no-audit --no-fund >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    die "could not install the Node packages (the rest of npm's words: $log)"
  fi
  cp "$1/package-lock.json" "$1/node_modules/.installed"
}

build_console() { # the pages that the server holds in its program
  local built=$web/node_modules/.built
  local api=server/src/api/snapshots/scrutineer__api__openapi__tests__openapi.snap
  if [ -f "$web/dist/index.html" ] && [ -f "$built" ] && [ -z "$(
    find "$web" "$api" -name node_modules -prune -o -name dist -prune -o -name schema.d.ts -o \
      -type f -newer "$built" -print -quit
  )" ]; then
    return
  fi
  say "building the console in $web/dist"
  if ! npm run --silent --prefix "$web" build >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "could not build the console (the rest of the build's words: $log)"
  fi
  touch "$built"
}

have cargo || die "please install Rust with rustup, https://rustup.rs"
cargo --version >"$log" 2>&1 ||
  die "please install the compiler that rust-toolchain.toml names: rustup toolchain install"

need build-essential "a C compiler" have cc
case $what in
  build) ;;
  bench | test) need postgresql "the PostgreSQL server" have_postgres_server ;;
  *) die "unknown: $what" ;;
esac
need pkg-config "pkg-config" have pkg-config
need libpq-dev "the PostgreSQL client library with headers (libpq)" have_libpq
if [ "$what" = test ]; then
  need gdal-bin "GDAL (ogrinfo)" have ogrinfo
  need gnome-keyring "GNOME Keyring" have gnome-keyring-daemon
  need libsecret-tools "libsecret's secret-tool" have secret-tool
  need dbus "D-Bus (dbus-run-session)" have dbus-run-session
  need python3 "Python 3" have python3
  need python3-venv "Python's venv" python3 -c 'import venv, ensurepip' 2>/dev/null
  need chromium "Chromium" have_chromium
fi
need nodejs "Node" have node
need npm "npm" have npm
[ ${#packages[@]} = 0 ] || install_packages
install_node "$web"
build_console
[ "$what" != test ] || { install_python; install_node "$node"; }
