// The models of model_builder.h that never change: golden files and their hashes are made of them.
#include <cstring>
#include <span>

#include "tests/support/model_builder.h"

namespace mu8::testing {
namespace {

using format::LayerRecord;
using format::OpCode;

void AddWeights(std::size_t layer, Random* random, TestModel* model) {
  format::FileContent& content = model->content;
  LayerRecord& record = content.layers[layer];
  const bool last = layer + 1 == content.layers.size();
  model->weights[layer] = RandomWeights(record, content.tensors[record.input].scale,
                                        last ? 0.0F : content.tensors[layer + 1].scale, random);
  SetMuBytes(model->weights[layer], &record);
  content.parameters[layer] = Pack(record, model->weights[layer]);
}

void AddInputTable(Random* random, format::FileContent* content) {
  content->input_table.resize(std::size_t{256} * content->tensors[0].channels);
  random->Fill(std::span(content->input_table), 0, 255);
}

}  // namespace

TestModel TinyModel(std::uint32_t sigma_bits, bool bayesian, std::uint32_t mu_bits,
                    std::uint32_t outputs) {
  Random random(100 + sigma_bits + (bayesian ? 0 : 50));
  TestModel model;
  format::FileContent& content = model.content;
  content.tensors = {MakeTensor(6, 6, 1, 0.0078125F, 128), MakeTensor(3, 3, 5, 0.03F, 0)};
  content.tensors[0].pad_top = content.tensors[0].pad_left = 1;

  LayerRecord convolution = MakeLayer(OpCode::kConv2d, 0, 5);
  convolution.kernel_h = convolution.kernel_w = 3;
  convolution.stride_h = convolution.stride_w = 2;
  convolution.pad_top = convolution.pad_left = 1;
  LayerRecord dense = MakeLayer(OpCode::kDense, 1, outputs);
  SetRuns(content.tensors[0], &convolution);
  SetRuns(content.tensors[1], &dense);
  content.layers = {convolution, dense};
  for (LayerRecord& layer : content.layers) {
    layer.mu_bits = static_cast<std::uint8_t>(mu_bits);
    if (!bayesian) continue;
    layer.flags |= format::kLayerBayesian;
    layer.sigma_bits = static_cast<std::uint8_t>(sigma_bits);
  }
  Finish(&content, false);
  model.weights.resize(2);
  content.parameters.resize(2);
  for (std::size_t i = 0; i < 2; ++i) AddWeights(i, &random, &model);
  AddInputTable(&random, &content);
  content.metadata = {{"labels", "cat\ndog\nowl"}, {"name", "tiny"}};
  return model;
}

namespace {

std::vector<LayerRecord> EveryOperator() {
  LayerRecord first = MakeLayer(OpCode::kConv2d, 0, 6);
  first.kernel_h = first.kernel_w = 3;
  first.pad_top = first.pad_left = 1;
  first.clamp_min = 17;
  LayerRecord max_pool = MakeLayer(OpCode::kMaxPool, 1, 6);
  max_pool.kernel_h = max_pool.kernel_w = 2;
  max_pool.stride_h = max_pool.stride_w = 2;
  LayerRecord grouped = MakeLayer(OpCode::kConv2d, 2, 18);
  grouped.groups = 2;
  grouped.kernel_h = grouped.kernel_w = 3;
  grouped.dilation_w = 2;
  grouped.pad_left = 2;
  LayerRecord average_pool = MakeLayer(OpCode::kAveragePool, 3, 18);
  average_pool.flags = format::kLayerCountPadding;
  average_pool.kernel_h = average_pool.kernel_w = 3;
  average_pool.stride_h = average_pool.stride_w = 2;
  average_pool.pad_top = average_pool.pad_left = 1;
  LayerRecord residual = MakeLayer(OpCode::kConv2d, 5, 18);
  residual.input2 = 4;
  residual.groups = 18;  // depthwise
  residual.clamp_min = 40;
  LayerRecord slice = MakeLayer(OpCode::kSlice, 2, 18);
  slice.stride_h = slice.stride_w = 2;
  slice.offset_h = 1;
  slice.offset_w = -1;
  slice.offset_c = -6;
  LayerRecord sum = MakeLayer(OpCode::kAdd, 6, 18);
  sum.input2 = 7;
  sum.clamp_max = 230;
  LayerRecord one_pixel = MakeLayer(OpCode::kAveragePool, 8, 18);
  one_pixel.kernel_h = one_pixel.kernel_w = 2;
  LayerRecord product = MakeLayer(OpCode::kMultiply, 8, 18);
  product.input2 = 9;
  product.clamp_min = 3;
  LayerRecord concat = MakeLayer(OpCode::kConcat, 10, 36);
  concat.input2 = 4;
  return {
      first, max_pool,  grouped, average_pool, MakeLayer(OpCode::kLookup, 4, 18), residual, slice,
      sum,   one_pixel, product, concat,       MakeLayer(OpCode::kDense, 11, 10)};
}

}  // namespace

TestModel EveryOperatorModel(std::size_t first_bayesian, std::uint32_t mu_bits) {
  Random random(7);
  TestModel model;
  format::FileContent& content = model.content;
  content.tensors = {MakeTensor(9, 8, 3, 0.015F, 110), MakeTensor(9, 8, 6, 0.04F, 17),
                     MakeTensor(5, 4, 6, 0.04F, 17),   MakeTensor(3, 4, 18, 0.05F, 90),
                     MakeTensor(2, 2, 18, 0.03F, 80),  MakeTensor(2, 2, 18, 0.02F, 0),
                     MakeTensor(2, 2, 18, 0.05F, 40),  MakeTensor(2, 2, 18, 0.04F, 17),
                     MakeTensor(2, 2, 18, 0.06F, 70),  MakeTensor(1, 1, 18, 0.06F, 60),
                     MakeTensor(2, 2, 18, 0.25F, 100), MakeTensor(2, 2, 36, 0.05F, 128)};
  content.tensors[0].pad_top = content.tensors[0].pad_bottom = 1;
  content.tensors[0].pad_left = content.tensors[0].pad_right = 1;
  content.tensors[2].pad_left = content.tensors[2].pad_right = 2;
  content.layers = EveryOperator();
  for (std::size_t i = 0; i < content.layers.size(); ++i) {
    LayerRecord& layer = content.layers[i];
    if (layer.mu_bits == 0) continue;
    layer.mu_bits = static_cast<std::uint8_t>(mu_bits);
    SetRuns(content.tensors[layer.input], &layer);
    if (i < first_bayesian) continue;
    layer.flags |= format::kLayerBayesian;
    layer.sigma_bits = 2;
  }
  Finish(&content, true);
  model.weights.resize(content.layers.size());
  content.parameters.resize(content.layers.size());
  for (std::size_t i = 0; i < content.layers.size(); ++i) {
    if (content.layers[i].mu_bits != 0) AddWeights(i, &random, &model);
  }
  content.parameters[4].resize(format::kLookupBytes);
  content.parameters[10].resize(2 * format::kLookupBytes);
  for (const std::size_t i : {4U, 10U}) random.Fill(std::span(content.parameters[i]), 0, 255);
  AddInputTable(&random, &content);
  content.metadata = {{"name", "every operator"}};
  return model;
}

TestModel DenseOutputModel(std::uint32_t channels, std::uint32_t sigma_bits) {
  Random random(300 + channels + 100 * sigma_bits);
  TestModel model;
  format::FileContent& content = model.content;
  content.tensors = {MakeTensor(6, 5, 2, 0.0078125F, 128), MakeTensor(6, 5, 4, 0.03F, 11)};
  for (format::TensorRecord& tensor : content.tensors) {
    tensor.pad_top = tensor.pad_left = tensor.pad_bottom = tensor.pad_right = 1;
  }
  content.layers = {MakeLayer(OpCode::kConv2d, 0, 4), MakeLayer(OpCode::kConv2d, 1, channels)};
  for (LayerRecord& layer : content.layers) {
    layer.kernel_h = layer.kernel_w = 3;
    layer.pad_top = layer.pad_left = 1;
    layer.flags |= format::kLayerBayesian;
    layer.sigma_bits = static_cast<std::uint8_t>(sigma_bits);
    SetRuns(content.tensors[layer.input], &layer);
  }
  content.layers[1].stride_w = 2;
  content.output_height = 5;
  content.output_width = 3;
  Finish(&content, false);
  model.weights.resize(2);
  content.parameters.resize(2);
  for (std::size_t i = 0; i < 2; ++i) AddWeights(i, &random, &model);
  AddInputTable(&random, &content);
  content.metadata = {{"name", "dense output"}};
  return model;
}

TestModel WithReconstruction(TestModel model) {
  format::FileContent& content = model.content;
  content.head = format::Head::kReconstruction;
  content.outputs.error_unit = 0x1p-16F;
  for (std::uint32_t c = 0; c < content.tensors[0].channels; ++c) {
    content.outputs.targets.push_back({0.03F, -4.0F + static_cast<float>(c)});
  }
  return model;
}

TestModel DenseReconstructionModel() {
  TestModel model = DenseOutputModel(2);
  model.content.layers[1].stride_w = 1;
  model.content.output_height = 6;
  model.content.output_width = 5;
  return WithReconstruction(model);
}

TestModel WithGaussian(TestModel model, format::ScaleForm form) {
  format::FileContent& content = model.content;
  content.head = format::Head::kGaussian;
  content.outputs.scale_form = form;
  for (std::uint32_t k = 0; k < content.layers.back().output_channels / 2; ++k) {
    const auto shift = static_cast<float>(k % 16) * 0.625F;  // e^(1 + 2 * shift) is a float
    content.outputs.scale_bounds.push_back({-2.5F + shift, 1.0F + 2 * shift});
  }
  return model;
}

std::vector<std::uint8_t> PackPlaces(const std::vector<format::GatherPlace>& places) {
  const std::size_t bytes = places.size() * sizeof(format::GatherPlace);
  std::vector<std::uint8_t> packed(format::RoundUp(bytes, format::kAlignment));
  std::memcpy(packed.data(), places.data(), bytes);
  return packed;
}

TestModel TableOperatorsModel(std::size_t first_bayesian) {
  constexpr std::uint32_t kNone = format::kOutside;
  TestModel model = EveryOperatorModel(first_bayesian);
  format::FileContent& content = model.content;
  Random random(11);
  content.layers[4].flags = format::kLayerByChannel;
  content.parameters[4].resize(18 * format::kLookupBytes);
  content.layers[6] = MakeLayer(OpCode::kGather, 2, 18);
  // Of 5 rows of 24 bytes: 18 bytes of rows 4 and 2, or 3 and 1, backwards. Two do not exist.
  std::vector<format::GatherPlace> places = {{3, 0}, {1, 6}, {1, 0}, {0, 0}};
  for (std::uint32_t c = 0; c < 18; ++c) {
    const bool missing = c == 5 || c == 17;
    places.push_back({missing ? kNone : 0, missing ? 0 : 17 - c});
  }
  content.parameters[6] = PackPlaces(places);
  content.layers[7] = MakeLayer(OpCode::kMaximum, 6, 18);
  content.layers[7].input2 = 7;
  content.layers[8] = MakeLayer(OpCode::kConstant, 8, 18);
  content.layers[9] = MakeLayer(OpCode::kMinimum, 8, 18);
  content.layers[9].input2 = 9;
  content.parameters[7].resize(2 * format::kLookupBytes);
  content.parameters[8].resize(format::ConstantBytes(content.tensors[9]));
  content.parameters[9].resize(2 * format::kLookupBytes);
  for (const std::size_t i : {4U, 7U, 8U, 9U}) {
    random.Fill(std::span(content.parameters[i]), 0, 255);
  }
  Finish(&content, true);
  content.metadata = {{"name", "table operators"}};
  return model;
}

TestModel ReplacedResidualModel() {
  TestModel model = EveryOperatorModel();
  model.content.layers[10].input2 = 5;
  Finish(&model.content, true);
  return model;
}

TestModel BinaryModel(OpCode op, float a, float b, float out) {
  Random random(8);
  TestModel model;
  format::FileContent& content = model.content;
  content.tensors = {MakeTensor(1, 1, 4, a, 0), MakeTensor(1, 1, 4, b, 0),
                     MakeTensor(1, 1, 4, out, 0)};
  content.layers = {MakeLayer(OpCode::kLookup, 0, 4), MakeLayer(op, 0, 4),
                    MakeLayer(OpCode::kDense, 2, 2)};
  content.layers[1].input2 = 1;
  SetRuns(content.tensors[2], &content.layers[2]);
  Finish(&content, false);
  model.weights.resize(3);
  content.parameters.resize(3);
  content.parameters[0].resize(format::kLookupBytes);
  AddWeights(2, &random, &model);
  AddInputTable(&random, &content);
  content.metadata = {{"name", "binary"}};
  return model;
}

TestModel ResidualModel(float factor, float input_scale, std::int32_t bias) {
  constexpr float kWeightScale = 0x1p-10F;
  TestModel model =
      BinaryModel(OpCode::kAdd, input_scale, kWeightScale * input_scale * factor, input_scale);
  format::FileContent& content = model.content;
  LayerRecord& layer = content.layers[1];
  layer = MakeLayer(OpCode::kConv2d, 0, 4);
  layer.input2 = 1;
  layer.output = 2;
  SetRuns(content.tensors[0], &layer);
  Random random(9);
  AddWeights(1, &random, &model);
  model.weights[1].scale.assign(4, kWeightScale);
  model.weights[1].bias_mu.assign(4, bias);
  content.parameters[1] = Pack(layer, model.weights[1]);
  return model;
}

}  // namespace mu8::testing
