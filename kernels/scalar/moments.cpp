// Predictions by moments: the definition (FORMAT.md 13.2, 13.3).
#include "kernels/moments.h"

#include "kernels/moments_math.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::scalar {

float ProbeMoments(float a, float b, float c) { return ProbeFloats(a, b, c); }

void SquareMeans(const SampleArgs& args) {
  UnpackPanel(args);
  const std::size_t count = (args.end_block - args.first_block) * kBlockBytes;
  for (std::size_t i = 0; i < count; ++i) {
    args.weights[i] = SquareCode(args.weights[i]);
  }
}

void UnpackSpread(const SampleArgs& args) {
  const std::size_t begin = args.first_block * kBlockBytes;
  for (std::size_t i = begin; i < args.end_block * kBlockBytes; ++i) {
    const auto channel = static_cast<std::uint32_t>(i / 4 % args.width);
    const std::int32_t level = SigmaLevel(args, i, channel);
    args.weights[i - begin] = args.sigma_bits == 8 ? SpreadCode(static_cast<std::uint32_t>(level))
                                                   : static_cast<std::int8_t>(level);
  }
  SilencePadding(args);
}

void SecondMoments(const SecondMomentsArgs& args) {
  for (std::size_t i = 0; i < args.bytes; ++i) {
    const std::int32_t d = args.means[i] - args.zero_point;
    const std::uint32_t v = args.variances == nullptr ? 0 : args.variances[i];
    std::uint32_t t = (static_cast<std::uint32_t>(d * d) >> 1) + ((v * args.variance_gain) >> 8);
    t = t < 32767 ? t : 32767;
    const std::uint32_t e = (t * args.gain + 16384) >> 15;
    args.output[i] = static_cast<std::uint8_t>(e < 255 ? e : 255);
  }
}

void Clip(const ClipArgs& args) {
  const MomentsCodes codes{args.zero_out, static_cast<float>(args.clamp_min - args.zero_out),
                           static_cast<float>(args.clamp_max - args.zero_out), args.inverse_step};
  for (std::uint32_t p = 0; p < args.pixels; ++p) {
    const std::size_t row = std::size_t{p} * kPanelWidth;
    const std::ptrdiff_t residual_at = Signed(p) * args.residual_col_step;
    const std::ptrdiff_t output_at = Signed(p) * args.output_col_step;
    for (std::uint32_t c = 0; c < args.channels; ++c) {
      std::int32_t acc = args.acc[row + c];
      const std::int32_t spread = args.spread == nullptr ? 0 : args.spread[row + c];
      const std::int32_t input = args.input == nullptr ? 0 : args.input[row + c];
      float variance = (static_cast<float>(spread) * args.k_spread[c] +
                        static_cast<float>(input) * args.k_input[c]) +
                       args.k_bias[c];
      if (args.residual != nullptr) {
        // |r - z| <= 255 and factors are at most 2^21: below 2^30 with the rounding term.
        const std::int32_t scaled =
            (args.residual[residual_at + Signed(c)] - args.residual_zero) * args.residual_factor[c];
        acc = AddWrapping(acc, (scaled + (1 << (args.residual_shift - 1))) >> args.residual_shift);
        if (args.residual_variance != nullptr) {
          variance +=
              static_cast<float>(args.residual_variance[residual_at + Signed(c)]) * args.k_residual;
        }
      }
      const CodePair out =
          ClipMoments(codes, static_cast<float>(acc) * args.multiplier[c], variance);
      args.output[output_at + Signed(c)] = out.mean;
      args.variance[output_at + Signed(c)] = out.variance;
    }
  }
}

constinit const MomentsKernels kMoments = {.square_means = SquareMeans,
                                           .unpack_spread = UnpackSpread,
                                           .second_moments = SecondMoments,
                                           .clip = Clip,
                                           .accumulate = nullptr,
                                           .add_softmax_rows = nullptr,
                                           .max_pool = nullptr,
                                           .probe = ProbeMoments};

}  // namespace mu8::kernels::scalar
