// How windows are cut into runs: the table of FORMAT.md 5.3, by numbers.
#include <doctest/doctest.h>

#include "formats/runs.h"
#include "tests/support/model_builder.h"

namespace mu8::testing {
namespace {

using format::LayerRecord;
using format::OpCode;
using format::RunLayout;

// A convolution 3 x 5 from 7 x 9 x 6 to `channels`.
LayerRecord Convolution(std::uint32_t channels, std::uint32_t groups, std::uint16_t dilation_w) {
  LayerRecord layer = MakeLayer(OpCode::kConv2d, 0, channels);
  layer.kernel_h = 3;
  layer.kernel_w = 5;
  layer.groups = groups;
  layer.dilation_w = dilation_w;
  return layer;
}

void CheckLayout(LayerRecord layer, const RunLayout& expected) {
  const format::TensorRecord input = MakeTensor(7, 9, 6, 1.0F, 0);
  const RunLayout runs = format::MakeRunLayout(layer, input);
  CHECK(runs.depthwise == expected.depthwise);
  CHECK(runs.outer == expected.outer);
  CHECK(runs.inner == expected.inner);
  CHECK(runs.runs == expected.runs);
  CHECK(runs.run_length == expected.run_length);
  layer.flags = format::kLayerBayesian;
  format::SetRuns(input, &layer);
  CHECK(layer.runs == expected.runs);
  CHECK(layer.run_length == expected.run_length);
  CHECK(layer.flags ==
        (format::kLayerBayesian | (expected.depthwise ? format::kLayerDepthwise : 0)));
}

TEST_CASE("runs: a dense layer reads its input in one piece") {
  CheckLayout(MakeLayer(OpCode::kDense, 0, 4), {false, 1, 1, 1, 7 * 9 * 6});
}

TEST_CASE("runs: a convolution of one group reads whole rows of its window") {
  CheckLayout(Convolution(4, 1, 1), {false, 3, 1, 3, 5 * 6});
}

TEST_CASE("runs: gaps between taps, or groups, leave one run a tap") {
  CheckLayout(Convolution(4, 1, 2), {false, 3, 5, 15, 6});
  CheckLayout(Convolution(4, 2, 1), {false, 3, 5, 15, 3});
  // A group for each input channel is not depthwise if there are more outputs.
  CheckLayout(Convolution(12, 6, 1), {false, 3, 5, 15, 1});
}

TEST_CASE("runs: depthwise means as many groups as channels, in and out, and more than one") {
  CheckLayout(Convolution(6, 6, 1), {true, 3, 5, 1, 15});
  CheckLayout(Convolution(6, 6, 3), {true, 3, 5, 1, 15});
  LayerRecord one = Convolution(1, 1, 1);
  CHECK_FALSE(format::IsDepthwise(one, 1));
  CHECK_FALSE(format::IsDepthwise(Convolution(6, 6, 1), 12));
  CHECK_FALSE(format::IsDepthwise(Convolution(12, 6, 1), 6));
}

}  // namespace
}  // namespace mu8::testing
