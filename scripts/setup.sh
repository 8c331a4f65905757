#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages that building and testing Tactus needs.
#
# Relies on: Debian 12 or 13 (or a derivative that says ID_LIKE=debian), the system's own apt
# sources, root or sudo. What does not come from the system's own suite (libbpf, bpftool, QEMU,
# kernels) is fetched by scripts/deps.sh into a cache folder and is not installed.
# Does not: change apt sources, upgrade what is installed, or use the network when all is there.
set -euo pipefail

packages=(
  # compilers and build system
  build-essential cmake ninja-build clang-19 llvm-19 lld-19 libclang-rt-19-dev pkg-config git
  # libraries that Tactus links
  libeigen3-dev libhwloc-dev libcli11-dev libtomlplusplus-dev libfmt-dev nlohmann-json3-dev
  libelf-dev zlib1g-dev libzstd-dev libxxhash-dev
  # tests, and the peers of the benchmarks
  doctest-dev libtbb-dev libasio-dev libboost-dev libomp-19-dev
  # building bpftool from kernel source; fetching and unpacking other packages
  bc flex bison rsync xz-utils zstd dpkg-dev gpgv ca-certificates curl kmod cpio
  # what goes into the test VM
  busybox-static util-linux libcap2-bin strace stress-ng
  python3 procps
)

usage() {
  cat <<'TXT'
usage: scripts/setup.sh [--check] [--list]

Installs the packages that building and testing Tactus needs (Debian 12 or 13, root or sudo).

  --check   only say what is missing; exit 1 if anything is
  --list    print the package names

examples:
  scripts/setup.sh
  scripts/setup.sh --check && echo ready

exit codes: 0 all installed, 1 something is missing (--check) or apt failed, 2 wrong use,
            3 not a Debian system, 4 no rights to install
TXT
}

say() { printf 'setup: %s\n' "$*" >&2; }
die() { local code=$1; shift; say "$*"; exit "$code"; }

# A package counts as present when dpkg has it fully installed; a name that another package
# provides (virtual) is not used in the list, so this is exact.
missing_packages() {
  local installed
  installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null |
              sed -n 's/^installed //p' || true)
  comm -23 <(printf '%s\n' "${packages[@]}" | sort -u) <(sort -u <<<"$installed")
}

check_only=0
case "${1-}" in
  "") ;;
  --check) check_only=1 ;;
  --list) printf '%s\n' "${packages[@]}"; exit 0 ;;
  -h|--help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
  die 3 "this is not a Debian system (no dpkg, no apt-get); install by hand what 'scripts/setup.sh --list' prints"

mapfile -t missing < <(missing_packages)
if [ ${#missing[@]} -eq 0 ]; then
  say "all ${#packages[@]} packages are installed"
  exit 0
fi
if [ $check_only = 1 ]; then
  die 1 "missing: ${missing[*]}; run scripts/setup.sh"
fi

as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || die 4 "${#missing[@]} packages are missing and you are not root: run as root, 'apt-get install ${missing[*]}'"
  as_root=(sudo)
  sudo -n true 2>/dev/null || say "sudo may ask for your password"
  sudo -v || die 4 "sudo was refused: run as root, 'apt-get install ${missing[*]}'"
fi

say "installing ${#missing[@]} of ${#packages[@]} packages: ${missing[*]}"
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o Dpkg::Use-Pty=0 -o Acquire::Retries=3)

install() { "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; }

# Package lists younger than an hour are taken as they are. A foreign source that cannot be
# reached must not stop us, so a failed update is only told.
if [ -z "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mmin -60 -print -quit 2>/dev/null)" ]; then
  say "updating package lists"
  "${apt[@]}" update -q >&2 || say "apt-get update had errors; going on with the lists there are"
fi
if ! install >&2; then
  say "first try failed; updating package lists and trying once more"
  "${apt[@]}" update -q >&2 || true
  install >&2 || die 1 "apt-get could not install: ${missing[*]} (see its message above)"
fi

mapfile -t missing < <(missing_packages)
[ ${#missing[@]} -eq 0 ] || die 1 "still missing after installation: ${missing[*]}"
say "done"
