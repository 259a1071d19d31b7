#!/bin/bash
# tests/elsewhere.sh: what scripts/Containerfile copies is all that the build reads, and libraries in a folder of their own
# (CMAKE_PREFIX_PATH) are used from there, and looked for there by what is installed. Configures only. Environment: CC, CMAKE_GENERATOR.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d "${TMPDIR:-/tmp}/samebrain-elsewhere-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
fail() { echo "elsewhere: $*" >&2; exit 1; }
source=$scratch/source prefix=$scratch/prefix
mkdir -p "$source" "$prefix/lib/pkgconfig" "$prefix/include"

# Everything that is copied into the first stage: COPY FROM... TO, relative to the repository and to the stage's folder.
copied=0
while read -ra words; do
  to=$source/${words[-1]}
  mkdir -p "$to"
  for from in "${words[@]:1:${#words[@]}-2}"; do
    if [ -d "$from" ]; then cp -r "$from/." "$to"; else cp "$from" "$to"; fi
    copied=$((copied + 1))
  done
done < <(grep '^COPY [^-]' scripts/Containerfile)
[ "$copied" -gt 0 ] || fail "scripts/Containerfile copies nothing"

# The system's libraries in other places: nifti_clib's headers without a folder of their own, and .pc files that name one each.
where() { # HEADER: the folder of the system that has it, or a folder nifti/ with it
  echo "#include <$1>" | "${CC:-cc}" -I/usr/include/nifti -M -x c - | tr ' ' '\n' | grep -m 1 "/$1\$"
}
ln -s "$(dirname "$(where nifti2_io.h)")"/*.h "$prefix/include/"
ln -s "$(dirname "$(dirname "$(where oneapi/dnnl/dnnl.h)")")" "$prefix/include/oneapi"
libraries=(nifti2 znz dnnl) packages=(libcjson libdeflate nettle libpng)
for package in "${packages[@]}"; do
  name=$(pkg-config --libs-only-l "$package" | sed 's/^-l//; s/ .*//')
  libraries+=("$name")
  mkdir "$prefix/include/$package"
  printf '%s\n' "Name: $package" "Description: $package" "Version: $(pkg-config --modversion "$package")" \
    "Libs: -L$prefix/lib -l$name" "Cflags: -I$prefix/include/$package" >"$prefix/lib/pkgconfig/$package.pc"
done
for name in "${libraries[@]}"; do
  ln -s "$("${CC:-cc}" -print-file-name="lib$name.so")" "$prefix/lib/lib$name.so"
done

cmake -S "$source" -B "$scratch/build" -DSAMEBRAIN_TESTS=OFF -DSAMEBRAIN_CUDA=OFF -DCMAKE_PREFIX_PATH="$prefix" >"$scratch/log" 2>&1 ||
  { cat "$scratch/log"; fail "what scripts/Containerfile copies does not configure"; }
found=$(grep -cE "^(nifti2_LIBRARY|znz_LIBRARY|dnnl_LIBRARY|pkgcfg_lib_[a-z0-9_-]*):[A-Z]*=$prefix/lib/" "$scratch/build/CMakeCache.txt")
[ "$found" = ${#libraries[@]} ] || fail "$found of ${#libraries[@]} libraries are used from $prefix:" \
  "$(grep -E '_LIBRARY:|^pkgcfg_lib' "$scratch/build/CMakeCache.txt")"
grep -qE "^nifti2_INCLUDE_DIR:PATH=$prefix/include\$" "$scratch/build/CMakeCache.txt" || fail "nifti2_io.h is not used from $prefix/include"
# A folder sees the headers of the folders before it, and what these include: src/synth is the last.
commands=$(grep '"command".*src/synth/' "$scratch/build/compile_commands.json") || fail "src/synth is not compiled"
for package in "${packages[@]}"; do
  ! grep -qv -- " $prefix/include/$package " <<<"$commands" || fail "src/synth is compiled without $prefix/include/$package"
done
[ "$(grep -cE "NEW_RPATH \"$prefix/lib" "$scratch/build/cmake_install.cmake")" -ge 2 ] ||
  fail "the installed program and library would not look into $prefix/lib"
echo "elsewhere: $copied files and folders configure; $found libraries of their own"
