#!/usr/bin/env bash
# Install the real parts that the tests run against: Mosquitto, PostgreSQL, Chromium. As root it installs what is missing;
# otherwise it says which tests will not run.
set -euo pipefail
declare -A provides=([mosquitto]=mosquitto [chromium]=chromium [unshare]=util-linux [ip]=iproute2 [xz]=xz-utils)
missing=()
PATH=$PATH:/usr/sbin:/sbin
for command in "${!provides[@]}"; do
    command -v "$command" > /dev/null || missing+=("${provides[$command]}")
done
compgen -G '/usr/lib/postgresql/*/bin/initdb' > /dev/null || missing+=(postgresql)
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "not installed (run as root to install): ${missing[*]}; the tests that need them will be reported as skipped" >&2
    exit 0
fi
echo "Installing ${missing[*]} ..."
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A machine that has just started may be at its own upgrades: wait for them.
{ apt-get update -qq && apt-get install -y -o DPkg::Lock::Timeout=300 -qq --no-install-recommends "${missing[@]}"; } > "$log" 2>&1 || { cat "$log" >&2; exit 1; }
