// Registers of which memory has only the first bytes.
#pragma once

#include <wasm_simd128.h>

#include <cstdint>

namespace mu8::kernels::wasm128 {
namespace {

// The first `count` bytes of a register, at most 16, to memory that has no more.
[[maybe_unused]] void StorePart(std::uint8_t* out, v128_t bytes, std::uint32_t count) {
  if (count >= 16) return wasm_v128_store(out, bytes);
  if ((count & 8) != 0) {
    wasm_v128_store64_lane(out, bytes, 0);
    bytes = wasm_i64x2_shuffle(bytes, bytes, 1, 1);
    out += 8;
  }
  if ((count & 4) != 0) {
    wasm_v128_store32_lane(out, bytes, 0);
    bytes = wasm_u64x2_shr(bytes, 32);
    out += 4;
  }
  if ((count & 2) != 0) {
    wasm_v128_store16_lane(out, bytes, 0);
    bytes = wasm_u64x2_shr(bytes, 16);
    out += 2;
  }
  if ((count & 1) != 0) wasm_v128_store8_lane(out, bytes, 0);
}

}  // namespace
}  // namespace mu8::kernels::wasm128
