#!/usr/bin/env bash
# A user's projects: README.md's C++ example as it stands classifies a committed digit, once with an
# installed libmu8 (find_package; beside it a program with the thread pool) and once with this folder as
# a subproject. usage: consumer.sh BUILD_DIR MU8_COMMAND
set -euo pipefail
build=$1
mu8=$2
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0

pass() { passed=$((passed + 1)); }
fail() { # fail MESSAGE [LOG]
  echo "consumer.sh: $1" >&2
  [ $# -lt 2 ] || cat "$2" >&2
  echo "$passed passed, 1 failed"
  exit 1
}
quietly() { "$@" >"$work/log" 2>&1 || fail "failed: $*" "$work/log"; }

# 0.2.0 is what find_package finds for 0.2, and not what it finds for 0.3 or 0.1.
IFS=. read -r major minor _ < <(sed -n 's/^CMAKE_PROJECT_VERSION:STATIC=//p' "$build/CMakeCache.txt")

quietly cmake --install "$build" --prefix "$work/prefix"
quietly "$mu8" convert --model "$root/tests/data/lenet5_mnist.onnx" \
  --posterior "$root/tests/data/lenet5_mnist.npz" \
  --calibration "$root/tests/data/mnist/calibration-images-idx3-ubyte.gz" \
  --sigma-bits 1 -o "$work/model.mu8"

# The example is the README's only ```cpp block.
awk '/^```cpp$/ {inside = 1; next} /^```$/ {inside = 0} inside' "$root/README.md" >"$work/example.cpp"
gzip -dc "$root/tests/data/mnist/digits-images-idx3-ubyte.gz" >"$work/digits"
dd if="$work/digits" of="$work/digit.raw" bs=1 skip=16 count=784 status=none  # the first: a 7
cat >"$work/main.cpp" <<'EOF'
#include <cstddef>
#include <cstdint>
extern const std::byte kModel[];
extern const std::size_t kModelBytes;
extern const std::uint8_t kDigit[];
int Classify(const std::uint8_t* pixels);
__asm__(".section .rodata\n.balign 64\n.globl kModel\nkModel:\n.incbin \"model.mu8\"\nkModelEnd:\n"
        ".balign 8\n.globl kModelBytes\nkModelBytes: .quad kModelEnd - kModel\n"
        ".globl kDigit\nkDigit: .incbin \"digit.raw\"\n.previous\n");
int main() { return Classify(kDigit) == 7 ? 0 : 1; }
EOF
cat >"$work/threaded.cpp" <<'EOF'
#include <atomic>
#include "mu8/thread_pool.h"
int main() {
  mu8::ThreadPool pool(2);
  std::atomic<int> sum{0};
  mu8::ThreadPool::For(
      &pool, 5, [](void* job, std::uint32_t i) { *static_cast<std::atomic<int>*>(job) += static_cast<int>(i); },
      &sum);
  return sum == 10 ? 0 : 1;
}
EOF
cat >"$work/consumer.cmake" <<'EOF'
add_executable(consumer ../main.cpp ../example.cpp)
target_compile_options(consumer PRIVATE -Wextra -Wa,-I${CMAKE_SOURCE_DIR}/..)
target_link_libraries(consumer PRIVATE mu8::mu8)
EOF

# project NAME TEXT: a user's project, NAME/CMakeLists.txt.
project() {
  mkdir "$work/$1"
  cat >"$work/$1/CMakeLists.txt" <<EOF
cmake_minimum_required(VERSION 3.20)
project($1 CXX)
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
enable_testing()
$2
include(../consumer.cmake)
EOF
}

# How we compile ourselves may not reach a user's own files.
own_flags_only() {
  local commands
  commands=$(grep '"command"' "$work/$1/build/compile_commands.json" | grep -e "$work"/'[a-z]*\.cpp')
  [ -n "$commands" ] || fail "$1: no compile command of the user's own"
  if grep -qE -e '-W(all|error|undef)|-ffp-contract' <<<"$commands"; then
    fail "$1: our flags reach the user's files: $commands"
  fi
  pass
}

project installed 'find_package(mu8 ${WANTED} REQUIRED)
add_executable(threaded ../threaded.cpp)
target_link_libraries(threaded PRIVATE mu8::threads)'
quietly cmake -S "$work/installed" -B "$work/installed/build" -DCMAKE_PREFIX_PATH="$work/prefix" \
  -DWANTED="$major.$minor"
quietly cmake --build "$work/installed/build"
quietly "$work/installed/build/consumer" && pass
quietly "$work/installed/build/threaded" && pass
own_flags_only installed
if grep -rqE -e 'mu8_options|-W|-ffp-contract' "$work/prefix/lib/cmake/mu8"; then
  fail "the installed CMake files tell how we compile ourselves"
fi
pass

# Without CMake: pkg-config, and one compiler line.
flags=$(PKG_CONFIG_PATH="$work/prefix/lib/pkgconfig" pkg-config --cflags --libs "mu8 >= $major.$minor") ||
  fail "pkg-config does not find mu8 $major.$minor"
(cd "$work" && quietly g++ -std=c++20 main.cpp example.cpp $flags -o by_pkg_config)
quietly "$work/by_pkg_config" && pass

for wanted in "$major.$((minor + 1))" "$major.$((minor - 1))" "$((major + 1)).0"; do
  if cmake -S "$work/installed" -B "$work/refused" -DCMAKE_PREFIX_PATH="$work/prefix" \
    -DWANTED="$wanted" >"$work/log" 2>&1; then
    fail "find_package(mu8 $wanted) takes version $major.$minor"
  fi
  grep -q "mu8Config.cmake, version: $major\.$minor\." "$work/log" ||
    fail "find_package(mu8 $wanted) fails for another reason" "$work/log"
  pass
done

# As a subproject: the device library alone, without tests, and no warning of ours is an error.
project subproject "add_subdirectory(\"$root\" mu8)"
quietly cmake -S "$work/subproject" -B "$work/subproject/build"
quietly cmake --build "$work/subproject/build"
quietly "$work/subproject/build/consumer" && pass
own_flags_only subproject
commands=$work/subproject/build/compile_commands.json
! grep -q -e -Werror "$commands" || fail "a subproject's warnings are errors"
pass
! grep -qE "$root/(converters|tools|tests|bench)/" "$commands" ||
  fail "a subproject builds more than the device library"
pass
(cd "$work/subproject/build" && ctest -N) >"$work/log"
grep -q '^Total Tests: 0$' "$work/log" || fail "a subproject brings its tests along" "$work/log"
pass
echo "$passed passed, 0 failed"
