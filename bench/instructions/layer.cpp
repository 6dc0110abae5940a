// A 3x3 convolution of CHANNELS to CHANNELS on SIZE x SIZE pixels by the kernels of TABLE, or with
// DEPTHWISE true one of each channel by itself: every panel drawn DRAWS times, then convolved
// CONVOLUTIONS times. The counts are volatile, so that
// programs of all counts have the same code.
#include "bench/instructions/write_hash.h"
#include "kernels/kernel_table.h"

namespace {

using namespace mu8::kernels;

constexpr std::uint32_t kPanels = CHANNELS / kPanelWidth;
// Inputs of an output channel: in rows of 3 pixels, or 9 taps and 3 that are not there.
constexpr std::uint32_t kRuns = DEPTHWISE ? 1 : 3;
constexpr std::uint32_t kRunLength = DEPTHWISE ? 9 : 3 * CHANNELS;
constexpr std::uint32_t kPaddedRun = DEPTHWISE ? 12 : 3 * CHANNELS;
constexpr std::uint32_t kPanelBytes = kRuns * kPaddedRun * kPanelWidth;
constexpr std::uint32_t kRowBytes = (SIZE + 2) * CHANNELS;
constexpr std::uint32_t kTailBytes = 64;  // of a tensor, that kernels may read

alignas(64) std::uint8_t input[(SIZE + 2) * kRowBytes + kTailBytes];
alignas(64) std::uint8_t output[SIZE * SIZE * CHANNELS];
alignas(64) std::int8_t panels[kPanels * kPanelBytes];
alignas(64) std::uint8_t mu[kPanels * kPanelBytes];
alignas(64) std::uint8_t sigma[kPanels * kPanelBytes / 2];
std::uint8_t codebook[16], shift[kPanelWidth], bias_shift[kPanelWidth];
std::uint16_t bias_level[kPanelWidth];
std::int32_t bias_mu[kPanelWidth], bias[kPanels][kPanelWidth];
float multiplier[kPanelWidth];

template <typename T, std::size_t kCount>
void Fill(T (&values)[kCount], std::uint32_t seed) {
  for (T& value : values) {
    seed = seed * 1664525U + 1013904223U;
    value = static_cast<T>(seed >> 24);
  }
}

void FillAll() {
  Fill(input, 1);
  Fill(mu, 2);
  Fill(sigma, 3);
  for (std::uint8_t& byte : mu) byte = byte == 128 ? 0 : byte;
  for (std::uint8_t i = 0; i < 16; ++i) {
    codebook[i] = static_cast<std::uint8_t>(i * 8 + 1);
    shift[i] = 8;
    bias_shift[i] = 1;
    bias_level[i] = 3;
    bias_mu[i] = i;
    multiplier[i] = 1e-4F;
  }
}

void Draw(const KernelTable& table, std::uint32_t pass) {
  for (std::uint32_t p = 0; p < kPanels; ++p) {
    SampleArgs args{};
    args.stream = {1, pass, 0, p, 0};
    args.width = kPanelWidth;
    args.runs = kRuns;
    args.run_length = kRunLength;
    args.padded_run = kPaddedRun;
    args.sigma_bits = 4;
    args.mu_bits = 8;
    args.mu = mu + p * kPanelBytes;
    args.sigma = sigma + p * kPanelBytes / 2;
    args.codebook = codebook;
    args.shift = shift;
    args.bias_mu = bias_mu;
    args.bias_level = bias_level;
    args.bias_shift = bias_shift;
    args.end_block = BlockCount(args);
    args.weights = panels + p * kPanelBytes;
    args.bias = bias[p];
    table.sample_panel(args);
  }
}

void Convolve(const KernelTable& table) {
  for (std::uint32_t p = 0; p < kPanels; ++p) {
    ConvolveArgs args{};
    args.input = input + (DEPTHWISE ? p * kPanelWidth : 0);
    args.input_row_step = args.outer_step = kRowBytes;
    args.input_col_step = CHANNELS;
    args.outer_runs = 3;
    args.inner_runs = DEPTHWISE ? 3 : 1;
    args.inner_step = CHANNELS;
    args.padded_run = kPaddedRun;
    args.zero_point = 7;
    args.weights = panels + p * kPanelBytes;
    args.bias = bias[p];
    args.width = args.channels = kPanelWidth;
    args.output_height = args.output_width = SIZE;
    args.multiplier = multiplier;
    args.zero_out = args.clamp_min = 3;
    args.clamp_max = 255;
    args.output = output + p * kPanelWidth;
    args.output_row_step = SIZE * CHANNELS;
    args.output_col_step = CHANNELS;
    (DEPTHWISE ? table.convolve_depthwise : table.convolve)(args);
  }
}

}  // namespace

int main() {
  FillAll();
  const KernelTable* table = FindKernels(TABLE, DetectFeatures());
  if (table == nullptr) {
    BoardWrite("these kernels are not built, or the processor lacks them\n");
    return 1;
  }
  static const volatile std::uint32_t draws = DRAWS, convolutions = CONVOLUTIONS;
  for (std::uint32_t pass = draws; pass != 0; --pass) Draw(*table, pass);
  for (std::uint32_t left = convolutions; left != 0; --left) Convolve(*table);
  mu8::bench::WriteHash(mu8::bench::Hash(output, sizeof(output)));
  return 0;
}
