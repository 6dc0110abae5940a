// Every kernel of every other table of the build beside scalar's, which tests/kernels holds against
// the page on a host: random shapes, each array before a guard, the bytes around outputs known.
// Prints "TABLE KERNEL CASES" for each, or the first difference and ends with 1. With TOUCH_GUARD
// it reads behind a slot instead, which must be a fault.
#include <span>

#include "kernels/kernel_table.h"
#include "tests/bare_metal/guards.h"
#include "tests/support/random.h"
#include "tools/firmware/board/board.h"

namespace mu8::testing {
namespace {

using kernels::ConvolveArgs;
using kernels::KernelTable;
using kernels::PoolArgs;
using kernels::SampleArgs;

constexpr std::uint32_t kCases = CASES;
constexpr std::uint8_t kCanary = 0xcd;
constexpr std::size_t kMargin = 64;      // before an output
constexpr std::size_t kTensorTail = 64;  // which kernels may read
constexpr std::uint32_t kArrays = 12;

void WriteNumber(std::uint32_t value) {
  char text[12] = {};
  int i = 11;
  do {
    text[--i] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  BoardWrite(text + i);
}

// Arrays of one case, each at the end of a slot, guarded ones in turn.
class Arrays {
 public:
  explicit Arrays(std::uint32_t turn) : turn_(turn) {}
  template <typename T>
  std::span<T> New(std::size_t count) {
    const std::uint32_t slot = (turn_ + used_++) % kArrays;
    return {reinterpret_cast<T*>(LastOfSlot(slot, count * sizeof(T))), count};
  }
  // With known bytes in it and before it.
  std::span<std::uint8_t> NewOutput(std::size_t bytes) {
    const std::span<std::uint8_t> output = New<std::uint8_t>(bytes);
    std::memset(output.data() - kMargin, kCanary, bytes + kMargin);
    return output;
  }

 private:
  std::uint32_t turn_, used_ = 0;
};

std::uint8_t expected[kSlotBytes];

// Whether what the second call leaves at `output` and before it is what the first left.
template <typename First, typename Second>
bool Same(std::span<std::uint8_t> output, const First& first, const Second& second) {
  std::memset(output.data() - kMargin, kCanary, output.size() + kMargin);
  first();
  std::memcpy(expected, output.data() - kMargin, output.size() + kMargin);
  std::memset(output.data() - kMargin, kCanary, output.size() + kMargin);
  second();
  return std::memcmp(expected, output.data() - kMargin, output.size() + kMargin) == 0;
}

void FillPanel(Random* random, Arrays* arrays, SampleArgs* args) {
  const std::size_t bytes = kernels::BlockCount(*args) * kernels::kBlockBytes;
  const bool extreme = random->OneIn(4);
  const auto bytes_of = [&](std::size_t count, int low, int high) {
    const auto values = arrays->New<std::uint8_t>(count);
    random->Fill(values, low, high);
    return values.data();
  };
  args->mu = bytes_of(bytes * args->mu_bits / 8, 0, 127);
  args->sigma = bytes_of(bytes * args->sigma_bits / 8, 0, 255);
  const std::size_t codes = std::size_t{1} << (args->sigma_bits & 3);
  args->codebook =
      bytes_of(args->sigma_bits == 4 ? 16 : (codes - 1) * args->codebook_stride + args->width,
               extreme ? 255 : 0, 255);
  args->shift = bytes_of(args->width, extreme ? 1 : 8, extreme ? 1 : random->Between(8, 15));
  args->bias_shift = bytes_of(args->width, 1, 15);
  const auto table = arrays->New<std::int8_t>(16);
  random->Fill(table, -127, 127);
  args->mu_table = table.data();
  const auto mu = arrays->New<std::int32_t>(args->width);
  random->Fill(mu, -99999, 99999);
  args->bias_mu = mu.data();
  const auto level = arrays->New<std::uint16_t>(args->width);
  random->Fill(level, 0, 65535);
  args->bias_level = level.data();
}

// Drawn at once and in two pieces.
bool SampleCase(const KernelTable& scalar, const KernelTable& table, Random* random,
                std::uint32_t number) {
  Arrays arrays(number);
  kernels::LaneStates lanes;
  SampleArgs args{};
  args.stream = {random->Next(), random->Below(99), random->Below(99), random->Below(99),
                 random->OneOf<std::uint8_t>({0, 0x80})};
  args.width = 4U << random->Below(3);
  args.runs = 1 + random->Below(5);
  args.run_length = 1 + random->Below(40);
  args.padded_run = (args.run_length + 3) / 4 * 4;
  args.sigma_bits = random->OneOf<std::uint32_t>({8, 4, 2, 1, 0});
  args.mu_bits = random->OneIn(2) ? 8 : 1 + random->Below(7);
  args.codebook_stride = args.width + random->Below(20);
  const std::size_t blocks = args.end_block = kernels::BlockCount(args);
  const std::size_t cut = random->Below(static_cast<std::uint32_t>(blocks));
  FillPanel(random, &arrays, &args);
  const auto weights = arrays.NewOutput(blocks * kernels::kBlockBytes);
  const auto bias = arrays.NewOutput(args.width * sizeof(std::int32_t));
  args.weights = reinterpret_cast<std::int8_t*>(weights.data());
  args.bias = reinterpret_cast<std::int32_t*>(bias.data());
  const auto in_pieces = [&](void (*draw)(const SampleArgs&)) {
    SampleArgs piece = args;
    if (cut != 0) {
      piece.lanes = &lanes;
      piece.end_block = cut;
      draw(piece);
      piece.first_block = cut;
      piece.end_block = blocks;
      piece.weights += cut * kernels::kBlockBytes;
    }
    draw(piece);
  };
  const auto drawn = [&] { scalar.sample_panel(args); };
  return Same(weights, drawn, [&] { in_pieces(table.sample_panel); }) &&
         Same(bias, drawn, [&] { in_pieces(table.sample_panel); }) &&
         Same(
             weights, [&] { scalar.unpack_panel(args); }, [&] { in_pieces(table.unpack_panel); });
}

void SetWindow(Random* random, bool depthwise, ConvolveArgs* args) {
  args->width = 4U << random->Below(3);
  args->channels = random->OneIn(2) ? args->width : 1 + random->Below(args->width);
  args->outer_runs = 1 + random->Below(4);
  args->inner_runs = random->OneIn(2) ? 1 : 1 + random->Below(3);
  const std::uint32_t run = 1 + random->Below(random->OneIn(2) ? 12 : 60);
  args->padded_run =
      depthwise ? (args->outer_runs * args->inner_runs + 3) / 4 * 4 : (run + 3) / 4 * 4;
  args->output_height = 1 + random->Below(3);
  args->output_width = 1 + random->Below(7);
  args->input_col_step = 1 + random->Between(0, 40);
  args->input_row_step = random->Between(0, 500);
  args->outer_step = random->Between(0, 500);
  args->inner_step = random->Between(0, 100);
  args->zero_point = random->Between(0, 255);
}

void FillWeights(Random* random, bool depthwise, Arrays* arrays, ConvolveArgs* args) {
  const std::size_t inputs =
      depthwise ? args->padded_run
                : std::size_t{args->outer_runs} * args->inner_runs * args->padded_run;
  const bool extreme = random->OneIn(3);
  const std::ptrdiff_t reach =
      (args->output_height - 1) * args->input_row_step +
      (args->output_width - 1) * args->input_col_step + (args->outer_runs - 1) * args->outer_step +
      (args->inner_runs - 1) * args->inner_step + (depthwise ? args->channels : args->padded_run);
  const auto input = arrays->New<std::uint8_t>(static_cast<std::size_t>(reach) + kTensorTail);
  random->Fill(input, extreme ? 254 : 0, 255);
  args->input = input.data();
  const auto weights = arrays->New<std::int8_t>((args->width * inputs + 63) / 64 * 64);
  random->Fill(weights, extreme ? 126 : -127, 127);
  args->weights = weights.data();
  for (std::size_t i = 0; depthwise && i < weights.size(); ++i) {
    const std::size_t tap = i / 4 / args->width * 4 + i % 4;
    if (tap >= std::size_t{args->outer_runs} * args->inner_runs) weights[i] = 0;
  }
  const auto bias = arrays->New<std::int32_t>(args->width);
  const int most = static_cast<int>(0x7fffffffU - 255 * 127 * inputs);
  random->Fill(bias, extreme ? -most : -9999, extreme ? most : 9999);
  args->bias = bias.data();
  const auto multiplier = arrays->New<float>(args->width);
  for (float& value : multiplier) value = static_cast<float>(1 + random->Below(999)) * 0x1p-19F;
  if (extreme) multiplier[0] = 0x1.fffffep-1F;
  args->multiplier = multiplier.data();
}

void SetOutput(Random* random, Arrays* arrays, ConvolveArgs* args) {
  args->zero_out = random->OneIn(2) ? 0 : random->Between(0, 255);
  args->clamp_min = random->OneIn(2) ? args->zero_out : 0;
  args->clamp_max = random->OneIn(2) ? 255 : random->Between(args->clamp_min, 255);
  args->output_col_step = static_cast<std::ptrdiff_t>(args->channels + random->Below(3));
  args->output_row_step = args->output_col_step * static_cast<std::ptrdiff_t>(args->output_width) +
                          random->Between(0, 4);
  if (!random->OneIn(3)) return;
  args->residual_col_step = static_cast<std::ptrdiff_t>(args->channels + random->Below(3));
  args->residual_row_step = args->residual_col_step * 7;
  args->residual_shift = random->Between(10, 30);
  args->residual_zero = random->Between(0, 255);
  const auto residual = arrays->New<std::uint8_t>(
      static_cast<std::size_t>((args->output_height - 1) * args->residual_row_step +
                               (args->output_width - 1) * args->residual_col_step) +
      args->channels);
  random->Fill(residual, 0, 255);
  args->residual = residual.data();
  const auto factor = arrays->New<std::int32_t>(args->width);
  random->Fill(factor, 0, 1 << 21);
  args->residual_factor = factor.data();
  // Open has proven that the sum with the residual fits.
  for (std::uint32_t c = 0; c < args->width; ++c) {
    const_cast<std::int32_t*>(args->bias)[c] /= 2;
  }
}

bool ConvolveCase(const KernelTable& scalar, const KernelTable& table, Random* random,
                  std::uint32_t number, bool depthwise) {
  Arrays arrays(number);
  ConvolveArgs args{};
  SetWindow(random, depthwise, &args);
  FillWeights(random, depthwise, &arrays, &args);
  SetOutput(random, &arrays, &args);
  const bool sums = random->OneIn(4);
  const std::size_t bytes =
      sums ? args.channels * sizeof(std::int32_t)
           : static_cast<std::size_t>((args.output_height - 1) * args.output_row_step +
                                      (args.output_width - 1) * args.output_col_step) +
                 args.channels;
  const auto output = arrays.NewOutput(bytes);
  if (sums) {
    args.residual = nullptr;
    args.accumulators = reinterpret_cast<std::int32_t*>(output.data());
  } else {
    args.output = output.data();
  }
  const auto run = [&](const KernelTable& by) {
    (depthwise ? by.convolve_depthwise : by.convolve)(args);
  };
  return Same(
      output, [&] { run(scalar); }, [&] { run(table); });
}

bool PoolCase(const KernelTable& scalar, const KernelTable& table, Random* random,
              std::uint32_t number) {
  Arrays arrays(number);
  PoolArgs args{};
  args.input_height = 1 + random->Below(8);
  args.input_width = 1 + random->Below(8);
  args.channels = 1 + random->Below(70);
  args.kernel_h = 1 + random->Below(3);
  args.kernel_w = 1 + random->Below(3);
  args.stride_h = 1 + random->Below(3);
  args.stride_w = 1 + random->Below(3);
  args.pad_top = random->Below(args.kernel_h);
  args.pad_left = random->Below(args.kernel_w);
  args.output_height = (args.input_height + args.pad_top + args.stride_h - 1) / args.stride_h;
  args.output_width = (args.input_width + args.pad_left + args.stride_w - 1) / args.stride_w;
  args.input_row_stride = kernels::Signed(args.input_width * args.channels + random->Below(5));
  args.output_row_stride = kernels::Signed(args.output_width * args.channels + random->Below(5));
  args.clamp_min = random->Between(0, 100);
  args.clamp_max = random->Between(100, 255);
  args.zero_in = random->Between(0, 255);
  args.zero_out = random->Between(args.clamp_min, args.clamp_max);
  args.scale_ratio = 0.7F;
  args.count_padding = random->OneIn(2);
  const auto input = arrays.New<std::uint8_t>(
      args.input_height * static_cast<std::size_t>(args.input_row_stride) + kTensorTail);
  random->Fill(input, 0, 255);
  args.input = input.data();
  const auto output =
      arrays.NewOutput((args.output_height - 1) * static_cast<std::size_t>(args.output_row_stride) +
                       args.output_width * args.channels);
  args.output = output.data();
  return Same(
             output, [&] { scalar.max_pool(args); }, [&] { table.max_pool(args); }) &&
         Same(
             output, [&] { scalar.average_pool(args); }, [&] { table.average_pool(args); });
}

// Whether all cases agree.
template <typename Case>
bool Run(const KernelTable& table, const char* kernel, const Case& one) {
  Random random(2026);
  BoardWrite(table.name);
  BoardWrite(kernel);
  for (std::uint32_t number = 0; number < kCases; ++number) {
    if (one(&random, number)) continue;
    BoardWrite("differs from scalar in case ");
    WriteNumber(number);
    BoardWrite("\n");
    return false;
  }
  WriteNumber(kCases);
  BoardWrite("\n");
  return true;
}

bool RunTable(const KernelTable& scalar, const KernelTable& table) {
  return Run(table, " sample ",
             [&](Random* r, std::uint32_t n) { return SampleCase(scalar, table, r, n); }) &&
         Run(table, " convolve ",
             [&](Random* r, std::uint32_t n) {
               return ConvolveCase(scalar, table, r, n, false);
             }) &&
         Run(table, " depthwise ",
             [&](Random* r, std::uint32_t n) { return ConvolveCase(scalar, table, r, n, true); }) &&
         Run(table, " pool ",
             [&](Random* r, std::uint32_t n) { return PoolCase(scalar, table, r, n); });
}

int Main() {
  BoardWrite(WatchSlots() ? "guarded\n" : "not guarded\n");
#if defined(TOUCH_GUARD)
  const volatile std::uint8_t* end = LastOfSlot(kGuardedSlots - 1, 0);
  return end[-1] == 0 && *end == 0 ? 0 : 1;
#endif
  const KernelTable& scalar = kernels::TableAt(0);
  for (std::size_t i = 1; i < kernels::TableCount(); ++i) {
    if (!RunTable(scalar, kernels::TableAt(i))) return 1;
  }
  return 0;
}

}  // namespace
}  // namespace mu8::testing

int main() { return mu8::testing::Main(); }
