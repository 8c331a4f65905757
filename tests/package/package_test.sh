#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs a shared libtactus under a folder of its own and builds a consumer in each
# of the three ways: find_package, pkg-config, add_subdirectory (static, and by
# clang++-19 where it is installed). Compares the exported symbols with exported_symbols.txt.
#
# Relies on: cmake, ninja or make, a compiler ($CXX, $CC), pkg-config, nm.
# Does not: touch the build folder it is called from, but for package/ in it.
set -euo pipefail
source_dir=${TACTUS_SOURCE_DIR:?} work=${TACTUS_BUILD_DIR:?}/package
here=$source_dir/tests/package
cxx=${CXX:-c++} cc=${CC:-cc}
export CXX=$cxx CC=$cc

step() { printf 'package: %s\n' "$*"; }
die() { printf 'package: FAILED: %s\n' "$*" >&2; exit 1; }

rm -rf "$work"
mkdir -p "$work"
launcher=()
if command -v ccache >/dev/null; then launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
generator=()
if command -v ninja >/dev/null; then generator=(-G Ninja); fi
configure() { cmake "${generator[@]}" "${launcher[@]}" -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS=-O1 "$@" >"$work/log" 2>&1 || { cat "$work/log"; die "cmake $*"; }; }
build() { cmake --build "$1" -j 2 >"$work/log" 2>&1 || { cat "$work/log"; die "building $1"; }; }

step "a shared library, installed"
configure -S "$source_dir" -B "$work/shared" -DBUILD_SHARED_LIBS=ON -DTACTUS_BUILD_SCHEDULER=OFF \
  -DTACTUS_BUILD_TESTS=OFF -DCMAKE_INSTALL_LIBDIR=lib
build "$work/shared"
cmake --install "$work/shared" --prefix "$work/prefix" --component library >/dev/null
prefix=$work/prefix
[ -f "$prefix/include/tactus/tactus.hpp" ] || die "no headers installed"
[ "$(readelf -d "$prefix/lib/libtactus.so" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')" = libtactus.so.0.1 ] || die "soname"

# Where it was installed to must not matter.
mv "$prefix" "$work/moved"
prefix=$work/moved

step "exported symbols"
nm -D --defined-only -C "$prefix/lib/libtactus.so" | sed -n 's/^[0-9a-f]* [A-Zu] //p' |
  grep -E '(^|for |to )tactus' | LC_ALL=C sort -u >"$work/exported"
if ! diff -u "$here/exported_symbols.txt" "$work/exported"; then
  die "the exported symbols changed; if that is meant: cp $work/exported tests/package/exported_symbols.txt, and think of the ABI version"
fi
if nm -D --defined-only "$prefix/lib/libtactus.so" | grep -E ' [TBDR] ' | grep -vE ' (tactus_|_Z(N|NK|TI|TS|TV|Th)?[A-Z0-9n_]*6tactus)'; then
  die "symbols that are not ours are exported"
fi

step "consumer by find_package"
configure -S "$here/consumer" -B "$work/by_find" -DCMAKE_PREFIX_PATH="$prefix"
build "$work/by_find"
"$work/by_find/consumer" && "$work/by_find/consumer_c"

step "consumer by pkg-config"
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
[ "$(pkg-config --modversion tactus)" = 0.1.0 ] || die "pkg-config --modversion"
read -ra cflags <<<"$(pkg-config --cflags tactus)"
read -ra libs <<<"$(pkg-config --libs tactus)"
"$cxx" -std=c++20 "$here/consumer/main.cpp" -o "$work/by_pc" "${cflags[@]}" "${libs[@]}"
"$cc" "$here/consumer/main.c" -o "$work/by_pc_c" "${cflags[@]}" "${libs[@]}"
LD_LIBRARY_PATH=$prefix/lib "$work/by_pc"
LD_LIBRARY_PATH=$prefix/lib "$work/by_pc_c"

# With the other compiler, so that both build and run all of the library.
if command -v clang++-19 >/dev/null && command -v clang-19 >/dev/null; then
  export CXX=clang++-19 CC=clang-19
else
  echo "no clang++-19 here: built with $CXX only"
fi
step "consumer by add_subdirectory, $CXX"
configure -S "$here/consumer" -B "$work/by_folder" -DTACTUS_SOURCE="$source_dir"
build "$work/by_folder"
"$work/by_folder/consumer" && "$work/by_folder/consumer_c"
if ls "$work/by_folder/tactus/bin" >/dev/null 2>&1; then die "a consumer builds programs of ours"; fi

step "ok"
