// The models of model_builder.h that never change: golden files and their hashes are made of them.
#include <span>

#include "tests/support/model_builder.h"

namespace mu8::testing {
namespace {

using format::LayerRecord;
using format::OpCode;

void AddWeights(std::size_t layer, Random* random, TestModel* model) {
  format::FileContent& content = model->content;
  const LayerRecord& record = content.layers[layer];
  const bool last = layer + 1 == content.layers.size();
  model->weights[layer] = RandomWeights(record, content.tensors[record.input].scale,
                                        last ? 0.0F : content.tensors[layer + 1].scale, random);
  content.parameters[layer] = Pack(record, model->weights[layer]);
}

void AddInputTable(Random* random, format::FileContent* content) {
  content->input_table.resize(std::size_t{256} * content->tensors[0].channels);
  random->Fill(std::span(content->input_table), 0, 255);
}

}  // namespace

TestModel TinyModel(std::uint32_t sigma_bits, bool bayesian) {
  Random random(100 + sigma_bits + (bayesian ? 0 : 50));
  TestModel model;
  format::FileContent& content = model.content;
  content.tensors = {MakeTensor(6, 6, 1, 0.0078125F, 128), MakeTensor(3, 3, 5, 0.03F, 0)};
  content.tensors[0].pad_top = content.tensors[0].pad_left = 1;

  LayerRecord convolution = MakeLayer(OpCode::kConv2d, 0, 5);
  convolution.kernel_h = convolution.kernel_w = 3;
  convolution.stride_h = convolution.stride_w = 2;
  convolution.pad_top = convolution.pad_left = 1;
  LayerRecord dense = MakeLayer(OpCode::kDense, 1, 3);
  SetRuns(content.tensors[0], &convolution);
  SetRuns(content.tensors[1], &dense);
  content.layers = {convolution, dense};
  for (LayerRecord& layer : content.layers) {
    if (!bayesian) continue;
    layer.flags = format::kLayerBayesian;
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

TestModel EveryOperatorModel() {
  Random random(7);
  TestModel model;
  format::FileContent& content = model.content;
  content.tensors = {MakeTensor(9, 8, 3, 0.015F, 110), MakeTensor(9, 8, 6, 0.04F, 17),
                     MakeTensor(5, 4, 6, 0.04F, 17),   MakeTensor(3, 4, 18, 0.05F, 90),
                     MakeTensor(2, 2, 18, 0.03F, 80),  MakeTensor(2, 2, 18, 0.02F, 0)};
  content.tensors[0].pad_top = content.tensors[0].pad_bottom = 1;
  content.tensors[0].pad_left = content.tensors[0].pad_right = 1;
  content.tensors[2].pad_left = content.tensors[2].pad_right = 2;

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
  content.layers = {first,
                    max_pool,
                    grouped,
                    average_pool,
                    MakeLayer(OpCode::kLookup, 4, 18),
                    MakeLayer(OpCode::kDense, 5, 10)};
  for (LayerRecord& layer : content.layers) {
    if (layer.mu_bits == 0) continue;
    SetRuns(content.tensors[layer.input], &layer);
    layer.flags = format::kLayerBayesian;
    layer.sigma_bits = 2;
  }
  Finish(&content, true);
  model.weights.resize(content.layers.size());
  content.parameters.resize(content.layers.size());
  for (const std::size_t i : {0U, 2U, 5U}) AddWeights(i, &random, &model);
  content.parameters[4].resize(format::kLookupBytes);
  random.Fill(std::span(content.parameters[4]), 0, 255);
  AddInputTable(&random, &content);
  content.metadata = {{"name", "every operator"}};
  return model;
}

}  // namespace mu8::testing
