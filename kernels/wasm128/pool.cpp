// Maximum of 16 channels at a time.
#include "kernels/built_tables.h"

#if MU8_HAVE_WASM128
#include <wasm_simd128.h>

#include "kernels/max_pool.h"
#include "kernels/wasm128/kernels.h"
#include "kernels/wasm128/parts.h"

namespace mu8::kernels::wasm128 {

namespace {

struct Bytes {
  static v128_t Splat(std::uint8_t byte) { return wasm_u8x16_splat(byte); }
  static v128_t Load(const std::uint8_t* from) { return wasm_v128_load(from); }
  static v128_t Max(v128_t a, v128_t b) { return wasm_u8x16_max(a, b); }
  static v128_t Min(v128_t a, v128_t b) { return wasm_u8x16_min(a, b); }
  static void StorePart(std::uint8_t* out, v128_t bytes, std::uint32_t count) {
    wasm128::StorePart(out, bytes, count);
  }
};

}  // namespace

void MaxPool(const PoolArgs& args) { MaxPool16<Bytes>(args); }

}  // namespace mu8::kernels::wasm128
#endif  // MU8_HAVE_WASM128
