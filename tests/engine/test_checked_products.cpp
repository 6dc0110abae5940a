// check_products: the same bytes as without, every kernel's accumulators checked; bits that flip in
// accumulators are found, and sums that are right raise no alarm.
#include <doctest/doctest.h>

#include <vector>

#include "engine/src/checked_products.h"
#include "tests/support/effort.h"
#include "tests/support/golden.h"
#include "tests/support/model_builder.h"
#include "tests/support/one_pass.h"
#include "tests/support/predict.h"
#include "tests/support/random_model.h"

namespace mu8::testing {
namespace {

TEST_CASE("checked products: the same predictions, with every kernel set") {
  Random random(74);
  int compared = 0;
  for (int m = 0; m < Effort(200, 20); ++m) {
    const AlignedBytes file = RandomModel(&random, random.OneIn(3)).File();
    Engine plain;
    SessionOptions options{.mc_samples = 2, .kernels = KernelSet::kScalar};
    REQUIRE(plain.Open(file.span(), options) == Status::kOk);
    const auto pixels = RandomPixels(plain.model, 1, 3);
    const std::vector<std::byte> expected = PredictAll(&plain, pixels, 1);
    options.check_products = true;
    for (const KernelSet kernels : RunnableKernels(plain.model)) {
      CAPTURE(m);
      CAPTURE(NameOf(kernels));
      options.kernels = kernels;
      options.panel_bytes = random.OneIn(2) ? 64 : 16384;
      Engine checked;
      REQUIRE(checked.Open(file.span(), options) == Status::kOk);
      REQUIRE(PredictAll(&checked, pixels, 1) == expected);
      ++compared;
    }
  }
  MESSAGE("predictions compared: " << compared);
  CHECK(compared >= Effort(200, 20));
}

// One pixel's products of random inputs and weights, by the scalar kernels; then a bit flips.
std::size_t products = 0;
std::int32_t flip = 0;  // 0: none
std::uint32_t flip_channel = 0;
template <bool depthwise>
void Flipping(const kernels::ConvolveArgs& args) {
  ++products;
  const kernels::KernelTable& table = kernels::TableAt(0);
  depthwise ? table.convolve_depthwise(args) : table.convolve(args);
  args.accumulators[flip_channel % args.channels] ^= flip;
}

struct Product {
  std::vector<std::uint8_t> input;
  std::vector<std::int8_t> weights;
  std::vector<std::int32_t> bias;
  std::vector<std::int32_t> accumulators;
  kernels::ConvolveArgs args{};

  Product(Random* random, bool depthwise) : bias(16), accumulators(16) {
    const std::uint32_t width = random->OneOf<std::uint32_t>({4, 8, 16});
    const std::uint32_t taps = 1 + random->Below(4);
    args.width = width;
    args.channels = 1 + random->Below(width);
    args.outer_runs = taps;
    args.inner_runs = 1;
    args.padded_run = depthwise ? 4 : 4 * (1 + random->Below(6));
    args.outer_step = depthwise ? 16 : static_cast<std::ptrdiff_t>(args.padded_run);
    args.zero_point = static_cast<std::int32_t>(random->Below(256));
    input.resize(std::size_t{taps} * 32 + 64);
    weights.resize(std::size_t{width} * args.padded_run * taps);
    random->Fill(std::span(input), 0, 255);
    random->Fill(std::span(weights), -127, 127);
    random->Fill(std::span(bias), -1000000, 1000000);
    args.input = input.data();
    args.weights = weights.data();
    args.bias = bias.data();
    args.accumulators = accumulators.data();
    args.output_height = args.output_width = 1;
  }
};

TEST_CASE("checked products: no false alarm, and flipped bits are found") {
  Random random(7);
  products = 0;
  flip = 0;
  const int checks = Effort(1000000, 20000), flips = Effort(10000, 2000);
  int alarms = 0, found = 0;
  for (int i = 0; i < checks + flips; ++i) {
    const bool depthwise = random.OneIn(4);
    Product product(&random, depthwise);
    const bool flips_one = i >= checks;
    flip = flips_one ? static_cast<std::int32_t>(1U << random.Below(32)) : 0;
    flip_channel = random.Below(16);
    ProductFault fault;
    const bool ok = ConvolveChecked(product.args, depthwise, 16,
                                    depthwise ? Flipping<true> : Flipping<false>, &fault);
    (flips_one ? found : alarms) += ok ? 0 : 1;
    CHECK((ok || fault.found != fault.expected));
  }
  MESSAGE("products checked: " << checks << ", alarms: " << alarms << "; bits flipped: " << flips
                               << ", found: " << found);
  CHECK(products == static_cast<std::size_t>(checks + flips));
  CHECK(alarms == 0);
  CHECK(found * 1000 >= flips * 999);
}

std::size_t flip_at = 0;  // the product, counted from 1
template <bool depthwise>
void FlippingOnce(const kernels::ConvolveArgs& args) {
  flip = products + 1 == flip_at ? 1 << 9 : 0;
  Flipping<depthwise>(args);
}

// Whichever product of a pass it is: none follows, and the fault says in which layer it was.
TEST_CASE("checked products: one that is wrong ends its pass and is told") {
  kernels::KernelTable table = kernels::TableAt(0);
  table.convolve = FlippingOnce<false>;
  table.convolve_depthwise = FlippingOnce<true>;
  const TestModel model = EveryOperatorModel();
  flip_channel = 0;
  std::size_t all = 1;
  std::int32_t layer = 0;
  for (flip_at = 0; flip_at <= all; ++flip_at) {
    CAPTURE(flip_at);
    OnePass pass(model, table);
    Diagnostic fault;
    pass.context.check_products = true;
    pass.context.fault = &fault;
    products = 0;
    RunOnce(&pass.context);
    RunPass(&pass.context);
    if (flip_at == 0) {
      REQUIRE_FALSE(pass.context.failed);
      REQUIRE(fault.status == Status::kOk);
      all = products;
      continue;
    }
    REQUIRE(pass.context.failed);
    CHECK(products == flip_at);
    CHECK(fault.status == Status::kComputationFault);
    CHECK(fault.layer >= layer);
    layer = fault.layer;
    const auto off = static_cast<std::int64_t>(fault.found - fault.expected);
    CHECK((off == 512 || off == -512));
  }
  MESSAGE("products of a pass, each wrong once: " << all);
  CHECK(all > 100);
  CHECK(layer == 11);  // the last one of the model
}

TEST_CASE("checked products: the message names layer and pixel") {
  char text[256];
  Explain({.status = Status::kComputationFault, .offset = 5, .layer = 2, .found = 7, .expected = 6},
          text);
  CHECK(std::string(text).find("; layer 2; pixel 5: found 7, expected 6") != std::string::npos);
}

}  // namespace
}  // namespace mu8::testing
