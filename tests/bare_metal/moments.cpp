// Kernels of predictions by moments beside scalar's.
#include "kernels/moments.h"

#include "kernels/moments_math.h"
#include "kernels/taps.h"
#include "tests/bare_metal/cases.h"

namespace mu8::testing {
namespace {

using kernels::ClipArgs;
using kernels::MomentsPoolArgs;
using kernels::SecondMomentsArgs;

constexpr std::uint32_t kPixels = 1 + 5;

// (1 to 2) 2^exponent.
float AnyScale(Random* random, int low, int high) {
  const auto exponent = static_cast<std::uint32_t>(random->Between(low, high) + 127);
  return format::BitCast<float>(exponent << 23 | random->Below(1U << 23));
}

bool PanelsCase(const KernelTable& scalar, const KernelTable& table, Random* random,
                std::uint32_t number) {
  Arrays arrays(number);
  SampleArgs args{};
  args.width = 4U << random->Below(3);
  args.runs = 1 + random->Below(5);
  args.run_length = 1 + random->Below(40);
  args.padded_run = (args.run_length + 3) / 4 * 4;
  args.sigma_bits = random->OneOf<std::uint32_t>({8, 4, 2, 1, 0});
  args.mu_bits = random->OneIn(2) ? 8 : 1 + random->Below(4);
  args.codebook_stride = kernels::kPanelWidth;
  args.end_block = kernels::BlockCount(args);
  FillPanel(random, &arrays, &args);
  const auto weights = arrays.NewOutput(args.end_block * kernels::kBlockBytes);
  args.weights = reinterpret_cast<std::int8_t*>(weights.data());
  return Same(
             weights, [&] { scalar.moments->square_means(args); },
             [&] { table.moments->square_means(args); }) &&
         Same(
             weights, [&] { scalar.moments->unpack_spread(args); },
             [&] { table.moments->unpack_spread(args); });
}

bool SecondMomentsCase(const KernelTable& scalar, const KernelTable& table, Random* random,
                       std::uint32_t number) {
  Arrays arrays(number);
  SecondMomentsArgs args{};
  args.bytes = 1 + random->Below(99);
  const auto means = arrays.New<std::uint8_t>(args.bytes);
  const auto variances = arrays.New<std::uint8_t>(args.bytes);
  random->Fill(means, 0, 255);
  random->Fill(variances, 0, 255);
  args.means = means.data();
  args.variances = random->OneIn(4) ? nullptr : variances.data();
  args.zero_point = random->Between(0, 255);
  args.gain = 257 + random->Below(764);
  args.variance_gain = random->Below(65536);
  const auto output = arrays.NewOutput(args.bytes);
  args.output = output.data();
  return Same(
      output, [&] { scalar.moments->second_moments(args); },
      [&] { table.moments->second_moments(args); });
}

// All pixels' accumulators of the real channels, as bytes in their order.
bool AccumulateCase(const KernelTable& scalar, const KernelTable& table, Random* random,
                    std::uint32_t number) {
  if (table.moments->accumulate == nullptr) return true;
  Arrays arrays(number);
  ConvolveArgs args{};
  SetWindow(random, false, &args);
  FillWeights(random, false, &arrays, &args);
  if (random->OneIn(2)) args.zero_point = 0;
  const std::uint32_t pixels = args.output_height * args.output_width;
  const auto found = arrays.New<std::int32_t>(std::size_t{pixels} * kernels::kPanelWidth);
  args.accumulators = found.data();
  table.moments->accumulate(args);
  for (std::uint32_t pixel = 0; pixel < pixels; ++pixel) {
    std::int32_t sums[kernels::kPanelWidth];
    ConvolveArgs one = args;
    one.output_height = one.output_width = 1;
    one.input += kernels::Signed(pixel / args.output_width) * args.input_row_step +
                 kernels::Signed(pixel % args.output_width) * args.input_col_step;
    one.accumulators = sums;
    scalar.convolve(one);
    const std::int32_t* of_pixel = found.data() + pixel * kernels::kPanelWidth;
    if (std::memcmp(of_pixel, sums, args.channels * sizeof(std::int32_t)) != 0) return false;
  }
  return true;
}

void FillClip(Random* random, Arrays* arrays, ClipArgs* args) {
  args->pixels = 1 + random->Below(kPixels);
  args->channels = 1 + random->Below(kernels::kPanelWidth);
  const int magnitude = 1 << random->Between(4, 23);
  const auto sums = [&](int low) {
    const auto values = arrays->New<std::int32_t>(args->pixels * kernels::kPanelWidth);
    random->Fill(values, low, magnitude);
    return values.data();
  };
  const auto factors = [&](int low, int high, bool zeros) {
    const auto values = arrays->New<float>(args->channels);
    for (float& value : values) {
      value = zeros && random->OneIn(5) ? 0.0F : AnyScale(random, low, high);
    }
    return values.data();
  };
  args->acc = sums(-magnitude);
  args->spread = random->OneIn(4) ? nullptr : sums(0);
  args->input = random->OneIn(4) ? nullptr : sums(0);
  args->multiplier = factors(-24, -1, false);
  args->k_spread = factors(-50, 4, true);
  args->k_input = factors(-50, 4, true);
  args->k_bias = factors(-50, 4, true);
  args->zero_out = random->Between(0, 255);
  args->clamp_min = random->OneIn(3) ? random->Between(0, 99) : 0;
  args->clamp_max = random->Between(155, 255);
  args->inverse_step = AnyScale(random, -10, 30);
  args->output_col_step = kernels::Signed(args->channels + random->Below(3));
}

bool ClipCase(const KernelTable& scalar, const KernelTable& table, Random* random,
              std::uint32_t number) {
  Arrays arrays(number);
  ClipArgs args{};
  FillClip(random, &arrays, &args);
  const std::size_t bytes =
      (args.pixels - 1) * static_cast<std::size_t>(args.output_col_step) + args.channels;
  if (random->OneIn(2)) {
    const auto residual = arrays.New<std::uint8_t>(bytes);
    random->Fill(residual, 0, 255);
    args.residual = residual.data();
    args.residual_variance = random->OneIn(3) ? nullptr : residual.data();
    args.residual_col_step = args.output_col_step;
    const auto factor = arrays.New<std::int32_t>(args.channels);
    random->Fill(factor, 0, 1 << 21);
    args.residual_factor = factor.data();
    args.residual_zero = random->Between(0, 255);
    args.residual_shift = random->Between(1, 30);
    args.k_residual = AnyScale(random, -30, 4);
  }
  static std::uint8_t others[kSlotBytes];  // the codes that are not compared
  const auto output = arrays.NewOutput(bytes);
  const auto clip = [&](const KernelTable& by) { by.moments->clip(args); };
  args.output = output.data();
  args.variance = others;
  if (!Same(
          output, [&] { clip(scalar); }, [&] { clip(table); }))
    return false;
  args.variance = args.output;
  args.output = others;
  return Same(
      output, [&] { clip(scalar); }, [&] { clip(table); });
}

void SetPool(Random* random, MomentsPoolArgs* args) {
  args->channels = 1 + random->Below(20);
  args->kernel_h = 1 + random->Below(3);
  args->kernel_w = 1 + random->Below(3);
  args->stride_h = 1 + random->Below(2);
  args->stride_w = 1 + random->Below(2);
  args->pad_top = random->Below(args->kernel_h);
  args->pad_left = random->Below(args->kernel_w);
  args->input_height = args->kernel_h + random->Below(4);
  args->input_width = args->kernel_w + random->Below(4);
  args->output_height = (args->input_height + args->pad_top - args->kernel_h) / args->stride_h + 1;
  args->output_width = (args->input_width + args->pad_left - args->kernel_w) / args->stride_w + 1;
  args->input_row_stride = kernels::Signed(args->input_width * args->channels);
  args->output_row_stride = kernels::Signed(args->output_width * args->channels);
  args->step = AnyScale(random, -40, 12);
  args->factor = AnyScale(random, -10, 9);
  args->zero_point = random->Between(0, 255);
  args->clamp_max = random->Between(155, 255);
  args->inverse_step = AnyScale(random, -12, 39);
}

// FORMAT.md 13.4; scalar has no kernel of it.
kernels::CodePair LargestOf(const MomentsPoolArgs& args, std::uint32_t y, std::uint32_t x,
                            std::uint32_t c) {
  const auto rows =
      kernels::RealTaps(y, args.stride_h, args.pad_top, args.kernel_h, args.input_height);
  const auto columns =
      kernels::RealTaps(x, args.stride_w, args.pad_left, args.kernel_w, args.input_width);
  kernels::Moments largest{};
  bool first = true;
  for (std::uint32_t row = rows.begin; row < rows.end; ++row) {
    for (std::uint32_t column = columns.begin; column < columns.end; ++column) {
      const std::ptrdiff_t at = kernels::Signed(row) * args.input_row_stride +
                                kernels::Signed(column * args.channels + c);
      const kernels::Moments tap{static_cast<float>(args.means[at] - args.zero_point),
                                 static_cast<float>(args.variances[at]) * args.step};
      largest = first ? tap : Larger(largest, tap);
      first = false;
    }
  }
  const kernels::MomentsCodes codes{
      args.zero_point, static_cast<float>(args.clamp_min - args.zero_point),
      static_cast<float>(args.clamp_max - args.zero_point), args.inverse_step};
  return StoreMoments(codes, largest.mean, largest.variance * args.factor);
}

bool LargestCase(const KernelTable& table, Random* random, std::uint32_t number) {
  if (table.moments->max_pool == nullptr) return true;
  Arrays arrays(number);
  MomentsPoolArgs args{};
  SetPool(random, &args);
  const std::size_t in = std::size_t{args.input_height} * args.input_width * args.channels;
  const std::size_t out = std::size_t{args.output_height} * args.output_width * args.channels;
  const auto means = arrays.New<std::uint8_t>(in + kTensorTail);
  const auto variances = arrays.New<std::uint8_t>(in + kTensorTail);
  random->Fill(means, 0, 255);
  random->Fill(variances, 0, random->OneOf({0, 3, 255}));
  args.means = means.data();
  args.variances = variances.data();
  const auto found = arrays.New<std::uint8_t>(out), found_variances = arrays.New<std::uint8_t>(out);
  args.output = found.data();
  args.output_variances = found_variances.data();
  table.moments->max_pool(args);
  for (std::uint32_t i = 0; i < out; ++i) {
    const std::uint32_t pixel = i / args.channels;
    const kernels::CodePair expected =
        LargestOf(args, pixel / args.output_width, pixel % args.output_width, i % args.channels);
    if (found[i] != expected.mean || found_variances[i] != expected.variance) return false;
  }
  return true;
}

}  // namespace

bool MomentsCase(const KernelTable& scalar, const KernelTable& table, Random* random,
                 std::uint32_t number) {
  return PanelsCase(scalar, table, random, number) &&
         SecondMomentsCase(scalar, table, random, number) &&
         AccumulateCase(scalar, table, random, number) && ClipCase(scalar, table, random, number) &&
         LargestCase(table, random, number);
}

}  // namespace mu8::testing
