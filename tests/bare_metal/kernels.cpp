// Every kernel of every other table of the build beside scalar's, which tests/kernels holds against
// the page on a host: random shapes, each array before a guard, the bytes around outputs known.
// Prints "TABLE KERNEL CASES" for each, or the first difference and ends with 1. With TOUCH_GUARD
// it reads behind a slot instead, which must be a fault.
#include <span>

#include "kernels/kernel_table.h"
#include "tests/bare_metal/cases.h"
#include "tests/support/random.h"
#include "tools/firmware/board/board.h"

namespace mu8::testing {
namespace {

using kernels::PoolArgs;

constexpr std::uint32_t kCases = CASES;
void WriteNumber(std::uint32_t value) {
  char text[12] = {};
  int i = 11;
  do {
    text[--i] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  BoardWrite(text + i);
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
             [&](Random* r, std::uint32_t n) { return PoolCase(scalar, table, r, n); }) &&
         Run(table, " moments ",
             [&](Random* r, std::uint32_t n) { return MomentsCase(scalar, table, r, n); });
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
