#!/usr/bin/env bash
# A user's project: installs libmu8, takes README.md's C++ example as it stands, builds it with
# find_package(mu8) and classifies a committed digit; and a program with the thread pool. usage: consumer.sh BUILD_DIR MU8_COMMAND
set -euo pipefail
build=$1
mu8=$2
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/prefix" >/dev/null
"$mu8" convert --model "$root/tests/data/lenet5_mnist.onnx" \
  --posterior "$root/tests/data/lenet5_mnist.npz" \
  --calibration "$root/tests/data/mnist/calibration-images-idx3-ubyte.gz" \
  --sigma-bits 1 -o "$work/model.mu8" >/dev/null

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
cat >"$work/CMakeLists.txt" <<'EOF'
cmake_minimum_required(VERSION 3.20)
project(consumer CXX)
set(CMAKE_CXX_STANDARD 20)
find_package(mu8 REQUIRED)
add_executable(consumer main.cpp example.cpp)
target_compile_options(consumer PRIVATE -Wall -Wextra -Wa,-I${CMAKE_SOURCE_DIR})
target_link_libraries(consumer PRIVATE mu8::mu8)
add_executable(threaded threaded.cpp)
target_link_libraries(threaded PRIVATE mu8::threads)
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
cmake -S "$work" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/build" >/dev/null
"$work/build/consumer"
"$work/build/threaded"
echo "2 passed, 0 failed"
