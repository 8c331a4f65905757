#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Fetches and builds what Tactus needs from suites that are not the system's own: libbpf, bpftool,
# vmlinux.h, QEMU, kernels with sched_ext. All of it goes into a cache folder, nothing of it is
# installed, and a second run downloads nothing.
#
# Relies on: scripts/setup.sh having run; the system's own apt sources, of which the suite name is
# replaced, so that mirror, proxy and keys stay those of the system and apt's signatures
# authenticate every byte. Works without root.
# Does not: touch the system's apt state, add sources, look for newer versions of what is cached
# (that is --refresh).
set -euo pipefail

cache=${TACTUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tactus}
refresh=0
# Raise a recipe's number when its steps change: the next run then builds it anew.
recipe_libbpf=1 recipe_bpftool=1 recipe_vmlinux=1 recipe_qemu=1 recipe_kernel=1
recipe_linux_tools=2 recipe_scx_simple=1
k_kernels="6.16 6.18 latest"
k_min_qemu=10

usage() {
  cat <<'TXT'
usage: scripts/deps.sh [--refresh] COMMAND...

Fetches what comes from other Debian suites into a cache folder
(TACTUS_CACHE, or XDG_CACHE_HOME/tactus, or ~/.cache/tactus). A second run downloads nothing.

commands:
  all              libbpf, bpftool, vmlinux, qemu and the kernels 6.16, 6.18 and latest
  build            libbpf, bpftool, vmlinux: what compiling needs
  libbpf           static libbpf 1.7       libbpf/{include,lib/libbpf.a}
  bpftool          bpftool 7.5             bpftool/bpftool
  vmlinux          kernel types for BPF    include/vmlinux.h
  qemu             QEMU 10 or newer        qemu/qemu-system-x86_64
  kernel SERIES    a cloud kernel with sched_ext (6.16, 6.18, 7.3, ..., latest); where the series
                   has left the archive, the nearest newer one   kernels/SERIES/{vmlinuz,config,release,modules/}
  scx-simple       the kernel's example scheduler, for the benchmark   scx-simple/scx_simple
  path NAME        print where NAME is (libbpf bpftool vmlinux qemu kernel-SERIES scx-simple cache)

options:
  --refresh        fetch anew even what is cached (keeps the cached one when that fails)

examples:
  scripts/deps.sh all
  scripts/deps.sh kernel 6.18 kernel latest
  make -C bpf LIBBPF="$(scripts/deps.sh path libbpf)"

exit codes: 0 all there, 1 not there or a step failed, 2 wrong use, 3 not a Debian 12+ amd64 system
TXT
}

say() { printf 'deps: %s\n' "$*" >&2; }
die() { local code=$1; shift; say "$*"; exit "$code"; }

# ---------------------------------------------------------------------------------------------
# The cache: each item is a directory with a stamp, made under a temporary name and renamed.

work=
cleanup() { [ -z "$work" ] || rm -rf "$work"; }
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

locked=0
take_lock() {
  [ $locked = 0 ] || return 0
  { mkdir -p "$cache" && exec 9>"$cache/.lock"; } 2>/dev/null ||
    die 1 "cannot write to $cache; set TACTUS_CACHE to a folder that you can write to"
  if ! flock -n 9; then
    say "another run is filling $cache; waiting for it"
    flock 9
  fi
  locked=1
  rm -rf "$cache"/tmp.*  # left by a run that was killed: the lock is ours, so nobody uses them
}

fresh() { [ "$(cat "$cache/$1/.stamp" 2>/dev/null)" = "$2" ]; }

# ensure DIR STAMP BUILDER [ARG...]: BUILDER fills the directory named by its last argument.
ensure() {
  local dir=$1 stamp=$2; shift 2
  if [ $refresh = 0 ] && fresh "$dir" "$stamp"; then return 0; fi
  take_lock
  if [ $refresh = 0 ] && fresh "$dir" "$stamp"; then return 0; fi
  local started=$SECONDS
  work=$(mktemp -d "$cache/tmp.XXXXXX")
  chmod 755 "$work"
  mkdir "$work/out" "$work/log"
  say "$dir: making it in $cache"
  # A subshell with its own errexit: a failure inside must not leave half an item behind.
  set +e
  ( set -e; cd "$work"; "$@" "$work/out" )
  local rc=$?
  set -e
  if [ $rc -ne 0 ]; then
    if fresh "$dir" "$stamp"; then
      say "$dir: could not be fetched anew; going on with the cached one"
      rm -rf "$work"; work=
      return 0
    fi
    die 1 "$dir: failed, see above; check the network and apt sources, then run this again"
  fi
  echo "$stamp" >"$work/out/.stamp"
  mkdir -p "$(dirname "$cache/$dir")"
  if [ -e "$cache/$dir" ] || [ -L "$cache/$dir" ]; then mv "$cache/$dir" "$work/old"; fi
  mv "$work/out" "$cache/$dir"
  rm -rf "$work"; work=
  say "$dir: done in $((SECONDS - started)) s"
}

# logged NAME COMMAND...: output to a file that is shown only when something fails.
logged() {
  local name=$1; shift
  if "$@" >"$work/log/$name" 2>&1; then return 0; fi
  tail -n 20 "$work/log/$name" >&2
  say "  that was: $1 ($name)"
  if grep -q 'Release file.*is expired' "$work/log/$name"; then
    say "  the mirror is stale or the clock is wrong; apt's setting Acquire::Check-Valid-Until decides whether that is accepted"
  fi
  return 1
}

# ---------------------------------------------------------------------------------------------
# apt with private directories

system_codename() { . /etc/os-release; echo "${VERSION_CODENAME:-}"; }

check_system() {
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    die 3 "this is not a Debian system (no apt-get)"
  [ "$(dpkg --print-architecture)" = amd64 ] || die 3 "only amd64 is supported, this is $(dpkg --print-architecture)"
  case "$(. /etc/os-release; echo "${ID:-}")" in
    debian) ;;
    *) die 3 "apt sources of Debian 12 or newer are needed, this is $(. /etc/os-release; echo "${PRETTY_NAME:-unknown}")" ;;
  esac
}

# The system's own source for its main suite: prints "URI KEYRING" (keyring may be empty).
system_source() {
  local code uri signed
  code=$(system_codename)
  uri=$(apt-get indextargets --format '$(CREATED_BY) $(RELEASE) $(COMPONENT) $(REPO_URI)' 2>/dev/null |
        awk -v c="$code" '$1 == "Packages" && $2 == c && $3 == "main" { print $4; exit }')
  [ -n "$uri" ] || die 1 "no apt source for suite '$code' component main; add one to /etc/apt and run 'apt-get update'"
  # apt does not print the key of a source; Debian's own ring holds the keys of all its suites.
  signed=/usr/share/keyrings/debian-archive-keyring.gpg
  [ -r "$signed" ] || signed=
  echo "$uri $signed"
}

# apt_root TYPE SUITE...: makes a private apt with only these suites, sets apt_args, updates it.
# The host's package status is not used unless apt_host_status=1: it would change candidates.
apt_args=()
apt_root() {
  local type=$1; shift
  local root src uri signed
  check_system
  src=$(system_source)
  read -r uri signed <<<"$src"
  root="$work/apt-$type-${1}"
  mkdir -p "$root"/{lists/partial,cache/archives/partial,etc}
  : >"$root/status"
  {
    echo "Types: $type"; echo "URIs: $uri"; echo "Suites: $*"; echo "Components: main"
    [ -z "$signed" ] || echo "Signed-By: $signed"
  } >"$root/etc/private.sources"
  apt_args=(-o "Dir::Etc::sourcelist=$root/etc/private.sources" -o "Dir::Etc::sourceparts=-"
            -o "Dir::Etc::preferences=-" -o "Dir::Etc::preferencesparts=-"
            -o "Dir::State::lists=$root/lists" -o "Dir::Cache=$root/cache"
            -o "APT::Sandbox::User=$(id -un)" -o "Acquire::Languages=none" -o "Acquire::Retries=3"
            -o "APT::Get::AllowUnauthenticated=false" -o "Debug::NoLocking=true"
            -o "Dpkg::Use-Pty=0" -o "APT::Architecture=amd64"
            -o "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false")
  if [ "${apt_host_status:-0}" = 0 ]; then apt_args+=(-o "Dir::State::status=$root/status"); fi
  say "  package list of $*"
  logged "apt-update-$1" apt-get "${apt_args[@]}" -o APT::Update::Error-Mode=any update
}

# fetch_debs PACKAGE...: into the current directory, with hashes checked by apt.
fetch_debs() {
  say "  downloading $*"
  logged download apt-get "${apt_args[@]}" download "$@"
}

# ---------------------------------------------------------------------------------------------
# Recipes: each runs in its own working directory and fills $out

make_libbpf() {
  local out=$1 version
  apt_root deb-src forky
  version=$(apt-cache "${apt_args[@]}" showsrc --only-source libbpf |
            awk '$1 == "Version:" { print $2 }' | sort -V | awk -F. '$1 > 1 || ($1 == 1 && $2 >= 7)' | head -n 1)
  [ -n "$version" ] || { say "suite forky has no libbpf 1.7 or newer"; return 1; }
  say "  downloading the source of libbpf $version"
  logged source apt-get "${apt_args[@]}" source --download-only --only-source "libbpf=$version"
  logged unpack dpkg-source --no-check -x libbpf_*.dsc src
  say "  building"
  logged build make -j2 -C src/src BUILD_STATIC_ONLY=1 CFLAGS="-O2 -g -fPIC" \
    DESTDIR="$out" PREFIX= INCLUDEDIR=/include LIBDIR=/lib UAPIDIR=/include install install_uapi_headers
  echo "$version" >"$out/version"
  [ -s "$out/lib/libbpf.a" ] && [ -s "$out/include/bpf/libbpf.h" ]
}

# The parts of the kernel's source tree that bpftool and scx_simple are built from.
make_linux_tools() {
  local out=$1 tarball
  apt_root deb trixie
  fetch_debs linux-source-6.12
  say "  unpacking tools/ (the archive is large, about 15 s)"
  dpkg-deb --fsys-tarfile linux-source-6.12_*.deb | tar -x --wildcards '*.tar.xz'
  tarball=$(find . -name 'linux-source-*.tar.xz')
  xz -dc -T0 "$tarball" | tar -x -C "$out" --strip-components=1 --wildcards \
    'linux-source-*/tools/bpf' 'linux-source-*/tools/lib' 'linux-source-*/tools/build' \
    'linux-source-*/tools/scripts' 'linux-source-*/tools/include' 'linux-source-*/tools/arch' \
    'linux-source-*/tools/sched_ext' 'linux-source-*/scripts/bpf_doc.py' \
    'linux-source-*/kernel/bpf/disasm*'
}

make_bpftool() {
  local out=$1
  cp -r "$cache/linux-6.12-tools" src
  say "  building"
  logged build make -j2 -C src/tools/bpf/bpftool feature-llvm=0 feature-libbfd=0 feature-clang-bpf-co-re=0
  cp src/tools/bpf/bpftool/bpftool "$out/bpftool"
  strip "$out/bpftool"
  "$out/bpftool" version >"$out/version"
}

make_vmlinux() {
  local out=$1 header
  apt_root deb trixie-backports
  fetch_debs linux-bpf-dev
  dpkg-deb -x linux-bpf-dev_*.deb pkg
  header=$(find pkg -name vmlinux.h -type f | grep -m1 -E '/(x86|amd64|x86_64|x86_64-linux-gnu)/|/vmlinux\.h$')
  cp "$header" "$out/vmlinux.h"
  dpkg-deb -f linux-bpf-dev_*.deb Version >"$out/version"
}

qemu_major() { "$1" --version 2>/dev/null | sed -n 's/^QEMU emulator version \([0-9]*\)\..*/\1/p'; }

make_qemu() {
  local out=$1 system suite code
  system=$(command -v qemu-system-x86_64 || true)
  if [ -n "$system" ] && [ "$(qemu_major "$system")" -ge $k_min_qemu ] 2>/dev/null; then
    say "  the system's QEMU is new enough ($system)"
    printf '#!/bin/sh\nexec %s "$@"\n' "$system" >"$out/qemu-system-x86_64"
    chmod 755 "$out/qemu-system-x86_64"
    return 0
  fi
  code=$(system_codename)
  suite=$code
  [ "$code" != bookworm ] || suite=bookworm-backports
  # Debian 12's QEMU 7.2 panics guests that attach sched_ext under load, hence the backport.
  # The host's package status tells apt which libraries are there already.
  if [ "$suite" = "$code" ]; then apt_host_status=1 apt_root deb "$code"
  else apt_host_status=1 apt_root deb "$suite" "$code"; fi
  say "  downloading QEMU and the libraries that this system lacks"
  logged download apt-get "${apt_args[@]}" install --download-only --no-install-recommends -y -t "$suite" qemu-system-x86
  mkdir "$out/root"
  local deb
  for deb in "$work"/apt-deb-*/cache/archives/*.deb; do
    case "${deb##*/}" in
      qemu-*|lib*|seabios*|ipxe-qemu*) dpkg-deb -x "$deb" "$out/root" ;;
    esac
  done
  # Only what a headless x86 guest needs stays.
  rm -rf "$out"/root/usr/share/{doc,doc-base,man,locale,lintian,icons,applications,bug,pmdk}
  find "$out/root/usr/bin" -type f ! -name qemu-system-x86_64 -delete
  find "$out/root/usr/share/qemu" -type f \( -name '*.lid' -o -name 'openbios*' -o -name 'u-boot*' -o -name 'slof*' \
    -o -name 'hppa*' -o -name 's390*' -o -name '*.dtb' -o -name 'trace-events-all' -o -name 'palcode*' -o -name 'npcm*' \) -delete
  cat >"$out/qemu-system-x86_64" <<'WRAP'
#!/bin/sh
# Runs the unpacked QEMU with its own libraries and data folders.
here=$(dirname "$(readlink -f "$0")")/root
LD_LIBRARY_PATH="$here/usr/lib/x86_64-linux-gnu:$here/lib/x86_64-linux-gnu:$here/usr/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" \
  exec "$here/usr/bin/qemu-system-x86_64" -L "$here/usr/share/qemu" -L "$here/usr/share/seabios" -L "$here/usr/lib/ipxe/qemu" "$@"
WRAP
  chmod 755 "$out/qemu-system-x86_64"
  local major
  major=$(qemu_major "$out/qemu-system-x86_64")
  [ "${major:-0}" -ge $k_min_qemu ] 2>/dev/null || {
    say "the unpacked QEMU does not run or is older than $k_min_qemu:"; "$out/qemu-system-x86_64" --version >&2 || true
    return 1
  }
  "$out/qemu-system-x86_64" --version | head -n 1 >"$out/version"
}

# choose_release SERIES: reads package names on stdin, prints the kernel release to take.
choose_release() {
  local want=$1 releases series_list chosen
  releases=$(sed -n -E 's/^linux-(image|binary)-([0-9]+\.[0-9]+\.[0-9]+.*-cloud-amd64)$/\2/p' | sort -Vu)
  series_list=$(sed -E 's/^([0-9]+\.[0-9]+)\..*/\1/' <<<"$releases" | sort -Vu)
  if [ "$want" = latest ]; then
    chosen=$(tail -n 1 <<<"$series_list")
  else
    chosen=$(printf '%s\n' "$series_list" "$want" | sort -Vu | sed -n "/^${want//./\\.}\$/,\$p" |
             grep -Fx -m1 -f <(echo "$series_list") || true)
  fi
  [ -n "$chosen" ] || return 1
  grep -E "^${chosen//./\\.}\." <<<"$releases" | tail -n 1
}

# cached_kernel PREFIX: a kernel in the cache, made by this recipe, whose release starts so.
cached_kernel() {
  local folder
  for folder in "$cache"/kernels/*/; do
    folder=${folder%/}
    if fresh "kernels/${folder##*/}" "$recipe_kernel" && [[ $(cat "$folder/release") = "$1"* ]]; then
      echo "$folder"; return 0
    fi
  done
  return 1
}

make_kernel() {
  local want=$1 out=$2 release names config vmlinuz modules package packages=() have
  if [ $refresh = 0 ] && have=$(cached_kernel "$want."); then
    say "  $(cat "$have/release") is in the cache already"
    cp -al "$have/." "$out"; rm "$out/.stamp"
    return 0
  fi
  apt_root deb trixie-backports
  names=$(apt-cache "${apt_args[@]}" pkgnames linux-)
  release=$(choose_release "$want" <<<"$names") ||
    { say "suite trixie-backports has no cloud kernel of series $want or newer"; return 1; }
  if [ "$want" != latest ] && [[ $release != "$want".* ]]; then
    say "  series $want has left the archive; taking the nearest newer one, $release"
  fi
  if have=$(cached_kernel "$release"); then
    say "  $release is in the cache already"
    cp -al "$have/." "$out"; rm "$out/.stamp"
    return 0
  fi
  for package in linux-image linux-binary linux-modules linux-base; do
    if grep -Fqx "$package-$release" <<<"$names"; then packages+=("$package-$release"); fi
  done
  fetch_debs "${packages[@]}"
  say "  unpacking kernel $release"
  for package in linux-*.deb; do dpkg-deb -x "$package" pkg; done
  vmlinuz=$(find pkg \( -path "*/boot/vmlinuz-$release" -o -path "*/$release/vmlinuz" \) -type f | head -n 1)
  config=$(find pkg \( -path "*/boot/config-$release" -o -path "*/$release/config" \) -type f | head -n 1)
  modules=$(find pkg -type d -path "*/modules/$release/kernel" | head -n 1)
  [ -n "$vmlinuz" ] && [ -n "$config" ] && [ -n "$modules" ] ||
    { say "packages of $release lack the image, its config or its modules"; return 1; }
  grep -qx CONFIG_SCHED_CLASS_EXT=y "$config" || { say "kernel $release has no sched_ext (CONFIG_SCHED_CLASS_EXT)"; return 1; }
  mkdir -p tree/lib/modules
  cp -r "$(dirname "$modules")" "tree/lib/modules/$release"
  rm -f "tree/lib/modules/$release"/{build,source,vmlinuz,config}
  PATH=$PATH:/usr/sbin:/sbin logged depmod depmod -b tree "$release"
  cp "$vmlinuz" "$out/vmlinuz"
  cp "$config" "$out/config"
  echo "$release" >"$out/release"
  mv "tree/lib/modules/$release" "$out/modules"
}

# An alias ("latest", or a series that has left the archive) has its own directory, of hard links
# where that kernel is in the cache already: nothing then points at what another run replaces.
want_kernel() {
  [[ $1 =~ ^[0-9]+\.[0-9]+$ || $1 = latest ]] || die 2 "kernel series must look like 6.18, or be 'latest', not '$1'"
  ensure "kernels/$1" "$recipe_kernel" make_kernel "$1"
}

make_scx_simple() {
  local out=$1 src="$cache/linux-6.12-tools/tools/sched_ext"
  local include=(-I "$src/include" -I "$src/include/bpf-compat" -I "$cache/include" -I "$cache/libbpf/include")
  say "  building"
  logged bpf clang-19 -target bpf -mcpu=v3 -O2 -g -Wno-missing-declarations -Wno-compare-distinct-pointer-types \
    -D__TARGET_ARCH_x86 "${include[@]}" -c "$src/scx_simple.bpf.c" -o scx_simple.bpf.o
  "$cache/bpftool/bpftool" gen object linked.o scx_simple.bpf.o
  "$cache/bpftool/bpftool" gen skeleton linked.o name scx_simple >scx_simple.bpf.skel.h
  logged user cc -O2 -g -I. "${include[@]}" -I "$cache/linux-6.12-tools/tools/include" \
    "$src/scx_simple.c" "$cache/libbpf/lib/libbpf.a" -lelf -lz -lzstd -lpthread -o "$out/scx_simple"
}

# ---------------------------------------------------------------------------------------------

do_libbpf() { ensure libbpf "$recipe_libbpf" make_libbpf; }
do_linux_tools() { ensure linux-6.12-tools "$recipe_linux_tools" make_linux_tools; }
do_bpftool() {
  if [ $refresh = 0 ] && fresh bpftool "$recipe_bpftool"; then return 0; fi
  do_linux_tools
  ensure bpftool "$recipe_bpftool" make_bpftool
}
do_vmlinux() { ensure include "$recipe_vmlinux" make_vmlinux; }
do_qemu() { ensure qemu "$recipe_qemu" make_qemu; }
do_scx_simple() {
  if [ $refresh = 0 ] && fresh scx-simple "$recipe_scx_simple"; then return 0; fi
  do_linux_tools; do_libbpf; do_bpftool; do_vmlinux
  ensure scx-simple "$recipe_scx_simple" make_scx_simple
}

print_path() {
  local path
  case "$1" in
    cache) echo "$cache"; return ;;
    libbpf) path=libbpf ;;
    bpftool) path=bpftool/bpftool ;;
    vmlinux) path=include/vmlinux.h ;;
    qemu) path=qemu/qemu-system-x86_64 ;;
    scx-simple) path=scx-simple/scx_simple ;;
    kernel-*) path=kernels/${1#kernel-} ;;
    *) die 2 "no such thing as '$1'; see scripts/deps.sh --help" ;;
  esac
  [ -e "$cache/$path" ] || die 1 "$1 is not in the cache ($cache); run scripts/deps.sh ${1/kernel-/kernel }"
  echo "$cache/$path"
}

[ $# -gt 0 ] || { usage >&2; exit 2; }
while [ $# -gt 0 ]; do
  command=$1; shift
  case "$command" in
    -h|--help) usage; exit 0 ;;
    --refresh) refresh=1 ;;
    all) do_libbpf; do_bpftool; do_vmlinux; do_qemu; for series in $k_kernels; do want_kernel "$series"; done ;;
    build) do_libbpf; do_bpftool; do_vmlinux ;;
    libbpf) do_libbpf ;;
    bpftool) do_bpftool ;;
    vmlinux) do_vmlinux ;;
    qemu) do_qemu ;;
    scx-simple) do_scx_simple ;;
    kernel) [ $# -gt 0 ] || die 2 "kernel needs a series, for instance: scripts/deps.sh kernel 6.18"
            want_kernel "$1"; shift ;;
    path) [ $# -gt 0 ] || die 2 "path needs a name; see scripts/deps.sh --help"
          print_path "$1"; shift ;;
    *) die 2 "no such command: '$command'; see scripts/deps.sh --help" ;;
  esac
done
