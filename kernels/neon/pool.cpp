// Maximum of 16 channels at a time.
#include <arm_neon.h>

#include <cstring>

#include "kernels/max_pool.h"
#include "kernels/neon/kernels.h"

namespace mu8::kernels::neon {
namespace {

// The first `count` bytes of a register, to memory that has no more.
void StorePart(std::uint8_t* out, uint8x16_t bytes, std::uint32_t count) {
  if (count >= 16) return vst1q_u8(out, bytes);
  uint8x8_t rest = vget_low_u8(bytes);
  if ((count & 8) != 0) {
    vst1_u8(out, rest);
    rest = vget_high_u8(bytes);
    out += 8;
  }
  if ((count & 4) != 0) {
    const std::uint32_t four = vget_lane_u32(vreinterpret_u32_u8(rest), 0);
    std::memcpy(out, &four, 4);
    rest = vext_u8(rest, rest, 4);
    out += 4;
  }
  if ((count & 2) != 0) {
    const std::uint16_t two = vget_lane_u16(vreinterpret_u16_u8(rest), 0);
    std::memcpy(out, &two, 2);
    rest = vext_u8(rest, rest, 2);
    out += 2;
  }
  if ((count & 1) != 0) vst1_lane_u8(out, rest, 0);
}

struct Bytes {
  static uint8x16_t Splat(std::uint8_t byte) { return vdupq_n_u8(byte); }
  static uint8x16_t Load(const std::uint8_t* from) { return vld1q_u8(from); }
  static uint8x16_t Max(uint8x16_t a, uint8x16_t b) { return vmaxq_u8(a, b); }
  static uint8x16_t Min(uint8x16_t a, uint8x16_t b) { return vminq_u8(a, b); }
  static void StorePart(std::uint8_t* out, uint8x16_t bytes, std::uint32_t count) {
    neon::StorePart(out, bytes, count);
  }
};

}  // namespace

void MaxPool(const PoolArgs& args) { MaxPool16<Bytes>(args); }

}  // namespace mu8::kernels::neon
