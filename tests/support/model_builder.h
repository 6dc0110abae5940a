// Small valid models for tests. A TestModel keeps its weights twice: packed in the file's panels,
// as the engine reads them, and as plain arrays, as the mathematics has them (tests/engine/
// reference_engine.h runs on those). See random_model.h for random ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "formats/layout.h"
#include "formats/runs.h"
#include "formats/writer.h"
#include "tests/support/aligned_bytes.h"
#include "tests/support/random.h"

namespace mu8::testing {

// The parameters of one convolution or dense layer by output channel; noise arrays are empty in a
// deterministic layer.
struct LayerWeights {
  std::vector<std::int8_t> mu;         // [output channel][run][input of the run]
  std::vector<std::uint8_t> mu_code;   // the same shape; 1 to 7 bits
  std::vector<std::int8_t> mu_table;   // [panel][16]; 1 to 4 bits, or a width for each panel
  std::vector<std::uint8_t> mu_bits;   // [panel]
  std::vector<std::uint8_t> sigma;     // codes, the same shape; levels for 8 bits
  std::vector<std::uint8_t> codebook;  // 4 bits: [panel][16]; 2, 1, 0 bits: [channel][code]
  std::vector<std::uint8_t> shift;     // [output channel], like all that follow
  std::vector<float> scale;
  std::vector<std::int32_t> bias_mu;
  std::vector<std::uint16_t> bias_level;
  std::vector<std::uint8_t> bias_shift;
};

struct TestModel {
  format::FileContent content;
  std::vector<LayerWeights> weights;  // one per layer; empty for pools and look-ups

  AlignedBytes File() const { return AlignedBytes(format::Write(content)); }
};

// A tensor without layout; Finish adds strides, sizes, places and lifetimes.
format::TensorRecord MakeTensor(std::uint32_t height, std::uint32_t width, std::uint32_t channels,
                                float scale, std::uint8_t zero_point);

// A layer with neutral fields: window 1 x 1, one group, the whole range of outputs. Convolutions
// and dense layers need format::SetRuns after their window.
format::LayerRecord MakeLayer(format::OpCode op, std::uint16_t input, std::uint32_t channels);

// Random parameters whose outputs use their range: multipliers below 1, logits of a few units.
// `output_scale` is 0 for the logits.
// `mu_bits`: of each panel, with kMuBitsByPanel; empty: random ones.
LayerWeights RandomWeights(const format::LayerRecord& layer, float input_scale, float output_scale,
                           Random* random, std::vector<std::uint8_t> mu_bits = {});

// The record's mu_bytes, of kMuBitsByPanel.
void SetMuBytes(const LayerWeights& weights, format::LayerRecord* layer);

// The parameters as the file stores them. With `garbage` all that may not matter is random: unused
// channel slots, the sigma of padded inputs, the last bytes of a panel.
std::vector<std::uint8_t> Pack(const format::LayerRecord& layer, const LayerWeights& weights,
                               Random* garbage = nullptr);

// Places tensors one behind the other, or, with `share_memory`, over values no longer needed.
// Strides that are 0 become the smallest possible. Sets lifetimes from the layers' inputs.
void Finish(format::FileContent* content, bool share_memory);

// 6 x 6 x 1 -> convolution 3 x 3, stride 2, padding 1, 5 channels -> dense, 3 classes, or as many
// outputs as asked for. Both layers are Bayesian with the given sigma width, or both deterministic.
TestModel TinyModel(std::uint32_t sigma_bits, bool bayesian = true, std::uint32_t mu_bits = 8,
                    std::uint32_t outputs = 3);

// 6 x 5 x 2 -> convolution 3 x 3 with padding, 4 channels -> convolution 3 x 3, strides 1 and 2,
// padding 1: `channels` outputs at each of 5 x 3 positions. Both layers are Bayesian.
TestModel DenseOutputModel(std::uint32_t channels, std::uint32_t sigma_bits = 4);

// The model with a kReconstruction head; its last layer has as many outputs as the input.
TestModel WithReconstruction(TestModel model);
// DenseOutputModel whose output is 6 x 5 x 2, as its input.
TestModel DenseReconstructionModel();

// The model with a kGaussian head; its last layer has an even number of channels. Every output has
// bounds of its own, that clamp some scales and not others.
TestModel WithGaussian(TestModel model, format::ScaleForm form);

// Every operator, 2-bit sigma, in memory that is shared: 0 convolution with padding and a zero
// point, 1 max-pool, 2 grouped convolution with dilation, 3 average pool over padding, 4 look-up,
// 5 convolution with a residual, 6 slice of tensor 2, 7 sum, 8 average pool to one pixel, 9 product
// with that pixel, 10 concatenation with tensor 4, 11 dense. Layers before `first_bayesian` are
// deterministic.
TestModel EveryOperatorModel(std::size_t first_bayesian = 0, std::uint32_t mu_bits = 8);

// EveryOperatorModel with operators of tables in place of others: 4 look-up by channel, 6 gather of
// tensor 2, 7 maximum, 8 constant of one pixel, 9 minimum with that pixel.
TestModel TableOperatorsModel(std::size_t first_bayesian = 0);

// The parameters of a gather with the given places, for rows, columns and channels in this order.
std::vector<std::uint8_t> PackPlaces(const std::vector<format::GatherPlace>& places);

// EveryOperatorModel, but nothing reads tensor 4 after the convolution that adds it (layer 5),
// whose output, tensor 6, lies in its place.
TestModel ReplacedResidualModel();

// Deterministic: pixels 1 x 1 x 4 of scale `a`, a look-up of scale `b`, add or multiply of the two
// with an output of scale `out`, dense.
TestModel BinaryModel(format::OpCode op, float a, float b, float out);

// Deterministic: pixels 1 x 1 x 4 of `input_scale`, a look-up of `input_scale` * 2^-10 * `factor`,
// a convolution 1 x 1 of the pixels with that residual, weight_scale 2^-10 and the output scale of
// the input, dense. So `factor` is that of the residual.
TestModel ResidualModel(float factor, float input_scale, std::int32_t bias);

// The largest bias that ResidualModel(1, 1, bias) allows: four products, and 255 of the residual.
inline constexpr std::int32_t kResidualMostBias = 0x7fffffff - 4 * 255 * 127 - 255;

}  // namespace mu8::testing
