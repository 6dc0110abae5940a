// Invalid files, part two: tensors and layers that do not make sense, alone or together.
#include <limits>
#include <utility>

#include "tests/formats/invalid_files.h"
#include "tests/support/model_builder.h"

namespace mu8::testing {
namespace {

using format::LayerRecord;
using format::OpCode;
using format::TensorRecord;

// Collects changed copies of one valid file.
class Collector {
 public:
  Collector(std::vector<std::byte> base, std::vector<InvalidFile>* files)
      : base_(std::move(base)), files_(*files) {}

  void Add(Status status, const char* name, std::vector<std::byte> bytes) {
    files_.push_back({status, name, std::move(bytes)});
  }
  template <typename Change>
  void Tensor(Status status, const char* name, std::size_t index, Change change) {
    Add(status, name, Editor(base_).Tensor(index, change).Repaired());
  }
  template <typename Change>
  void Layer(Status status, const char* name, std::size_t index, Change change) {
    Add(status, name, Editor(base_).Layer(index, change).Repaired());
  }

 private:
  std::vector<std::byte> base_;
  std::vector<InvalidFile>& files_;
};

// tensors: 0 input 6 x 6 x 1 with padding, 1 is 3 x 3 x 5; layers: 0 convolution, 1 dense.
void AddTensors(std::vector<InvalidFile>* files) {
  Collector tiny(format::Write(TinyModel(2).content), files);
  tiny.Tensor(Status::kReservedNotZero, "tensor", 1, [](TensorRecord* t) { t->reserved[6] = 1; });
  tiny.Tensor(Status::kTensorShape, "zero_height", 1, [](TensorRecord* t) { t->height = 0; });
  tiny.Tensor(Status::kTensorShape, "too_many_channels", 0,
              [](TensorRecord* t) { t->channels = 65536; });
  tiny.Tensor(Status::kTensorLayout, "short_rows", 1, [](TensorRecord* t) { --t->row_stride; });
  tiny.Tensor(Status::kTensorLayout, "wrong_bytes", 1, [](TensorRecord* t) { t->bytes -= 64; });
  tiny.Tensor(Status::kTensorLayout, "huge_rows", 1, [](TensorRecord* t) {
    t->row_stride = 0xfffffff0U;
    t->bytes = static_cast<std::uint32_t>(format::TensorBytes(*t));
  });
  tiny.Tensor(Status::kTensorLayout, "over_a_gigabyte", 1, [](TensorRecord* t) {
    t->row_stride = 0x20000000U;
    t->bytes = static_cast<std::uint32_t>(format::TensorBytes(*t));
  });
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  tiny.Tensor(Status::kTensorScale, "zero", 0, [](TensorRecord* t) { t->scale = 0; });
  tiny.Tensor(Status::kTensorScale, "negative", 0, [](TensorRecord* t) { t->scale = -1; });
  tiny.Tensor(Status::kTensorScale, "subnormal", 0, [](TensorRecord* t) { t->scale = kTiny; });
  tiny.Tensor(Status::kTensorScale, "nan", 0, [](TensorRecord* t) { t->scale = kNan; });
  tiny.Tensor(Status::kTensorPlacement, "outside", 1, [](TensorRecord* t) { t->offset += 64; });
  tiny.Tensor(Status::kTensorPlacement, "misaligned", 0, [](TensorRecord* t) { t->offset += 16; });
  tiny.Tensor(Status::kTensorLifetime, "wrong_writer", 1,
              [](TensorRecord* t) { t->first_layer = 1; });
  tiny.Tensor(Status::kTensorLifetime, "ends_before_it_begins", 1,
              [](TensorRecord* t) { t->last_layer = 0; });
  tiny.Tensor(Status::kTensorLifetime, "ends_after_the_last_layer", 1,
              [](TensorRecord* t) { t->last_layer = 2; });
  tiny.Tensor(Status::kTensorLifetime, "input_ends_after_the_last_layer", 0,
              [](TensorRecord* t) { t->last_layer = 2; });
  tiny.Tensor(Status::kTensorLifetime, "input_has_a_writer", 0,
              [](TensorRecord* t) { t->first_layer = 0; });
}

void AddGraphs(std::vector<InvalidFile>* files) {
  Collector collector({}, files);
  TestModel model = TinyModel(2);
  model.content.tensors.push_back(model.content.tensors.back());
  collector.Add(Status::kRecordCount, "a_tensor_too_many", format::Write(model.content));
  std::vector<format::Section> sections;
  for (std::uint32_t id = 1; id <= 6; ++id) {
    sections.push_back({id, format::kSectionRequired, {}});
  }
  sections[0].bytes.resize(sizeof(format::ModelRecord));
  collector.Add(Status::kRecordCount, "nothing_at_all", format::Assemble(sections));
  // A read of the input by layer 1 although it says that layer 0 was the last.
  TestModel twice = TinyModel(2);
  twice.content.layers[1].input = 0;
  twice.content.tensors[0].last_layer = 0;
  collector.Add(Status::kOperandIndex, "input_read_too_late", format::Write(twice.content));
  TestModel overlap = TinyModel(2);
  overlap.content.tensors[1].offset = 0;
  collector.Add(Status::kTensorOverlap, "output_over_input", format::Write(overlap.content));
  // 65 copies whose values all live to the end.
  TestModel live = TinyModel(0);
  format::FileContent& content = live.content;
  content.tensors.resize(1, MakeTensor(1, 1, 1, 1.0F, 0));
  content.tensors[0] = MakeTensor(1, 1, 1, 1.0F, 0);
  content.layers.clear();
  content.parameters.clear();
  for (int i = 0; i < 65; ++i) {
    content.layers.push_back(MakeLayer(OpCode::kMaxPool, 0, 1));
    content.tensors.push_back(MakeTensor(1, 1, 1, 1.0F, 0));
    content.parameters.emplace_back();
  }
  content.layers.push_back(MakeLayer(OpCode::kDense, 0, 1));
  SetRuns(content.tensors[0], &content.layers.back());
  content.parameters.emplace_back(format::MakeParameterLayout(content.layers.back()).bytes);
  Finish(&content, false);
  for (TensorRecord& tensor : content.tensors) tensor.last_layer = 65;
  collector.Add(Status::kTooManyLiveTensors, "sixty_five", format::Write(content));
}

void AddLayers(std::vector<InvalidFile>* files) {
  Collector tiny(format::Write(TinyModel(2).content), files);
  tiny.Layer(Status::kReservedNotZero, "layer", 0, [](LayerRecord* l) { l->reserved[14] = 1; });
  tiny.Layer(Status::kReservedNotZero, "mu_bytes_of_one_width", 0,
             [](LayerRecord* l) { l->mu_bytes = 64; });
  tiny.Layer(Status::kReservedNotZero, "layer_flags", 0, [](LayerRecord* l) { l->flags |= 2; });
  tiny.Layer(Status::kReservedNotZero, "second_input", 1, [](LayerRecord* l) { l->input2 = 0; });
  tiny.Layer(Status::kUnknownOperator, "zero", 0, [](LayerRecord* l) { l->op = 0; });
  tiny.Layer(Status::kUnknownOperator, "ten", 0, [](LayerRecord* l) { l->op = 10; });
  tiny.Layer(Status::kUnknownOperator, "logits_from_a_pool", 1,
             [](LayerRecord* l) { l->op = static_cast<std::uint8_t>(OpCode::kMaxPool); });
  tiny.Layer(Status::kOperandIndex, "reads_its_own_output", 0,
             [](LayerRecord* l) { l->input = 1; });
  tiny.Layer(Status::kOperandIndex, "reads_beyond_the_tensors", 1,
             [](LayerRecord* l) { l->input = 2; });
  tiny.Layer(Status::kOperandIndex, "writes_over_the_input", 0,
             [](LayerRecord* l) { l->output = 0; });
  tiny.Layer(Status::kOperandIndex, "logits_in_the_middle", 0,
             [](LayerRecord* l) { l->output = format::kNoTensor; });
  tiny.Layer(Status::kWindow, "no_kernel", 0, [](LayerRecord* l) { l->kernel_h = 0; });
  tiny.Layer(Status::kWindow, "no_stride", 0, [](LayerRecord* l) { l->stride_w = 0; });
  tiny.Layer(Status::kWindow, "leaves_on_top", 0, [](LayerRecord* l) { l->pad_top = 2; });
  tiny.Layer(Status::kWindow, "leaves_on_the_right", 0, [](LayerRecord* l) { l->stride_w = 3; });
  tiny.Layer(Status::kWindow, "leaves_below", 0, [](LayerRecord* l) { l->dilation_h = 3; });
  tiny.Layer(Status::kOutputShape, "channels_of_the_tensor", 0,
             [](LayerRecord* l) { l->output_channels = 6; });
  tiny.Layer(Status::kOutputShape, "no_classes", 1, [](LayerRecord* l) { l->output_channels = 0; });
  tiny.Layer(Status::kOutputShape, "too_many_classes", 1,
             [](LayerRecord* l) { l->output_channels = 65536; });
  tiny.Layer(Status::kRunLayout, "wrong_runs", 0, [](LayerRecord* l) { l->runs = 9; });
  tiny.Layer(Status::kRunLayout, "wrong_run_length", 0, [](LayerRecord* l) { ++l->run_length; });
  tiny.Layer(Status::kRunLayout, "depthwise_of_one_group", 0,
             [](LayerRecord* l) { l->flags |= format::kLayerDepthwise; });
  tiny.Layer(Status::kReservedNotZero, "depthwise_dense", 1,
             [](LayerRecord* l) { l->flags |= format::kLayerDepthwise; });
  tiny.Layer(Status::kGroups, "none", 0, [](LayerRecord* l) { l->groups = 0; });
  tiny.Layer(Status::kGroups, "do_not_divide", 0, [](LayerRecord* l) { l->groups = 5; });
  TestModel model = TinyModel(2);
  model.content.tensors[0].channels = model.content.layers[0].groups = 3;  // of 5 outputs
  model.content.tensors[0].row_stride = 0;
  model.content.input_table.resize(3 * 256);
  Finish(&model.content, false);
  tiny.Add(Status::kGroups, "do_not_divide_the_output", format::Write(model.content));
  tiny.Layer(Status::kBitWidth, "mu_9", 0, [](LayerRecord* l) { l->mu_bits = 9; });
  tiny.Layer(Status::kBitWidth, "mu_0", 0, [](LayerRecord* l) { l->mu_bits = 0; });
  tiny.Layer(Status::kBitWidth, "sigma_3", 0, [](LayerRecord* l) { l->sigma_bits = 3; });
  tiny.Layer(Status::kBitWidth, "sigma_without_noise", 0, [](LayerRecord* l) { l->flags = 0; });
  tiny.Layer(Status::kClamp, "empty_range", 0, [](LayerRecord* l) {
    l->clamp_min = 200;
    l->clamp_max = 199;
  });
}

void AddDense(std::vector<InvalidFile>* files) {
  Collector tiny(format::Write(TinyModel(2).content), files);
  tiny.Layer(Status::kRunLayout, "dense_of_other_length", 1,
             [](LayerRecord* l) { ++l->run_length; });
  tiny.Layer(Status::kRunLayout, "dense_of_two_runs", 1, [](LayerRecord* l) { l->runs = 2; });
  tiny.Tensor(Status::kRunLayout, "dense_reads_left_padding", 1, [](TensorRecord* t) {
    t->pad_left = 1;
    t->row_stride += t->channels;
  });
  tiny.Tensor(Status::kRunLayout, "dense_reads_rows_on_top", 1,
              [](TensorRecord* t) { t->pad_top = 1; });
  tiny.Tensor(Status::kRunLayout, "dense_reads_gaps", 1, [](TensorRecord* t) { ++t->row_stride; });
  tiny.Layer(Status::kGroups, "dense", 1, [](LayerRecord* l) { l->groups = 3; });
  // The engine once took a dense layer's padding for an offset into the arena.
  tiny.Layer(Status::kWindow, "dense_pad_top", 1, [](LayerRecord* l) { l->pad_top = 65535; });
  tiny.Layer(Status::kWindow, "dense_pad_left", 1, [](LayerRecord* l) { l->pad_left = 65535; });
  // A dense layer in the middle, with an output of two pixels.
  for (const bool tall : {true, false}) {
    TestModel model = TinyModel(0, false);
    format::FileContent& content = model.content;
    content.tensors = {MakeTensor(2, 2, 1, 1.0F, 0),
                       tall ? MakeTensor(2, 1, 3, 1.0F, 0) : MakeTensor(1, 2, 3, 1.0F, 0)};
    content.layers = {MakeLayer(OpCode::kDense, 0, 3), MakeLayer(OpCode::kDense, 1, 3)};
    for (LayerRecord& layer : content.layers) SetRuns(content.tensors[layer.input], &layer);
    Finish(&content, false);
    tiny.Add(Status::kOutputShape, tall ? "dense_of_two_rows" : "dense_of_two_columns",
             format::Write(content));
  }
}

// The layers are listed in model_builder.h.
void AddPools(std::vector<InvalidFile>* files) {
  Collector all(format::Write(EveryOperatorModel().content), files);
  all.Layer(Status::kReservedNotZero, "pool_flags", 1, [](LayerRecord* l) { l->flags = 1; });
  all.Layer(Status::kWindow, "pool_of_padding_only", 1, [](LayerRecord* l) { l->pad_top = 2; });
  all.Layer(Status::kWindow, "pool_behind_the_edge", 1, [](LayerRecord* l) { l->stride_h = 3; });
  all.Layer(Status::kWindow, "pool_with_dilation", 1, [](LayerRecord* l) { l->dilation_w = 2; });
  all.Layer(Status::kWindow, "pool_kernel_1025", 1, [](LayerRecord* l) { l->kernel_h = 1025; });
  all.Layer(Status::kBitWidth, "pool_with_weights", 1, [](LayerRecord* l) { l->mu_bits = 8; });
  all.Tensor(Status::kPoolQuantization, "other_zero_point", 2,
             [](TensorRecord* t) { ++t->zero_point; });
  all.Tensor(Status::kPoolQuantization, "other_scale", 2, [](TensorRecord* t) { t->scale *= 2; });
  all.Tensor(Status::kOutputShape, "lookup_loses_a_row", 5, [](TensorRecord* t) {
    t->height = 1;
    t->bytes = static_cast<std::uint32_t>(format::TensorBytes(*t));
  });
  all.Tensor(Status::kOutputShape, "lookup_loses_a_column", 5,
             [](TensorRecord* t) { t->width = 1; });
  TestModel model = EveryOperatorModel();
  model.content.tensors[2].channels = model.content.layers[1].output_channels = 5;
  all.Add(Status::kOutputShape, "pool_loses_a_channel", format::Write(model.content));
}

// EveryOperatorModel after a change of its records; places and lifetimes follow from them.
template <typename Change>
std::vector<std::byte> Rewired(Change change) {
  TestModel model = EveryOperatorModel();
  change(&model.content);
  for (TensorRecord& tensor : model.content.tensors) tensor.row_stride = 0;
  Finish(&model.content, true);
  return format::Write(model.content);
}

// One convolution 1 x 1 from 1 x 1 x 4 to four classes that adds its input to the logits.
std::vector<std::byte> ResidualOfTheLogits() {
  TestModel model = TinyModel(0, false);
  format::FileContent& content = model.content;
  content.tensors = {MakeTensor(1, 1, 4, 1.0F, 0)};
  content.layers = {MakeLayer(OpCode::kConv2d, 0, 4)};
  content.layers[0].input2 = 0;
  SetRuns(content.tensors[0], content.layers.data());
  content.input_table.resize(4 * 256);
  Random random(1);
  content.parameters = {
      Pack(content.layers[0], RandomWeights(content.layers[0], 1.0F, 0.0F, &random))};
  Finish(&content, false);
  return format::Write(content);
}

// 2 x 2 x 4 -> slice 1 x 1 x 4; convolution of the former with the latter as residual -> dense.
std::vector<std::byte> ResidualOfOnePixel() {
  TestModel model = TinyModel(0, false);
  format::FileContent& content = model.content;
  content.tensors = {MakeTensor(2, 2, 4, 1.0F, 0), MakeTensor(1, 1, 4, 1.0F, 0),
                     MakeTensor(2, 2, 4, 1.0F, 0)};
  content.layers = {MakeLayer(OpCode::kSlice, 0, 4), MakeLayer(OpCode::kConv2d, 0, 4),
                    MakeLayer(OpCode::kDense, 2, 2)};
  content.layers[1].input2 = 1;
  content.input_table.resize(4 * 256);
  content.parameters = {{}, {}, {}};
  Random random(1);
  for (const std::size_t i : {1U, 2U}) {
    SetRuns(content.tensors[content.layers[i].input], &content.layers[i]);
    content.parameters[i] = Pack(
        content.layers[i], RandomWeights(content.layers[i], 1.0F, i == 1 ? 1.0F : 0.0F, &random));
  }
  Finish(&content, false);
  return format::Write(content);
}

void AddSecondOperands(std::vector<InvalidFile>* files) {
  Collector all(format::Write(EveryOperatorModel().content), files);
  const auto operand = [&](Status status, const char* name, std::size_t layer,
                           std::uint16_t tensor) {
    all.Layer(status, name, layer, [&](LayerRecord* l) { l->input2 = tensor; });
  };
  operand(Status::kOperandIndex, "sum_of_one", 7, format::kNoTensor);
  operand(Status::kOperandIndex, "product_of_one", 9, format::kNoTensor);
  operand(Status::kOperandIndex, "concat_of_one", 10, format::kNoTensor);
  operand(Status::kOperandIndex, "residual_beyond_the_tensors", 5, 12);
  operand(Status::kOperandIndex, "residual_is_the_output", 5, 6);
  operand(Status::kOperandIndex, "residual_no_longer_alive", 5, 3);
  operand(Status::kOperandIndex, "product_no_longer_alive", 9, 7);
  operand(Status::kReservedNotZero, "second_input_of_a_pool", 1, 1);
  operand(Status::kReservedNotZero, "second_input_of_a_lookup", 4, 4);
  operand(Status::kReservedNotZero, "second_input_of_a_slice", 6, 2);
  all.Add(Status::kOperandIndex, "residual_of_the_logits", ResidualOfTheLogits());
  all.Layer(Status::kUnknownOperator, "logits_from_a_sum", 11, [](LayerRecord* l) {
    l->op = static_cast<std::uint8_t>(OpCode::kAdd);
    l->input2 = l->input;
  });
  all.Layer(Status::kReservedNotZero, "concat_flags", 10, [](LayerRecord* l) { l->flags = 1; });
  all.Layer(Status::kReservedNotZero, "sum_flags", 7, [](LayerRecord* l) { l->flags = 2; });
  all.Layer(Status::kBitWidth, "sum_with_weights", 7, [](LayerRecord* l) { l->mu_bits = 8; });
  all.Layer(Status::kBitWidth, "slice_with_sigma", 6, [](LayerRecord* l) { l->sigma_bits = 1; });
  // Also where clamps are not used.
  for (const auto& [name, layer] :
       {std::pair{"empty_range_of_a_sum", 7U}, std::pair{"empty_range_of_a_slice", 6U},
        std::pair{"empty_range_of_a_concat", 10U}}) {
    all.Layer(Status::kClamp, name, layer, [](LayerRecord* l) {
      l->clamp_min = 200;
      l->clamp_max = 199;
    });
  }
}

void AddSecondShapes(std::vector<InvalidFile>* files) {
  Collector all({}, files);
  const auto operands = [&](const char* name, std::size_t layer, std::uint16_t a, std::uint16_t b) {
    all.Add(Status::kOutputShape, name, Rewired([&](format::FileContent* content) {
              content->layers[layer].input = a;
              content->layers[layer].input2 = b;
            }));
  };
  operands("sum_of_another_first_operand", 7, 2, 6);
  operands("sum_of_another_second_operand", 7, 6, 2);
  operands("product_of_another_second_operand", 9, 8, 2);
  operands("product_of_one_pixel_first", 9, 9, 8);
  operands("residual_of_another_shape", 5, 5, 2);
  all.Add(Status::kOutputShape, "residual_of_one_pixel", ResidualOfOnePixel());
  // Tensor 7 is the slice, of any shape, and the second operand of the sum.
  all.Add(Status::kOutputShape, "sum_of_one_row",
          Rewired([](format::FileContent* content) { content->tensors[7].height = 1; }));
  all.Add(Status::kOutputShape, "sum_of_a_pixel_of_other_channels",
          Rewired([](format::FileContent* content) {
            content->tensors[7].height = content->tensors[7].width = 1;
            content->tensors[7].channels = content->layers[6].output_channels = 17;
          }));
  // Tensor 10 and the five-row tensor 2.
  all.Add(Status::kOutputShape, "concat_of_other_rows", Rewired([](format::FileContent* content) {
            content->layers[10].input2 = 2;
            content->tensors[11].channels = content->layers[10].output_channels = 24;
            SetRuns(content->tensors[11], &content->layers[11]);
          }));
  all.Add(Status::kOutputShape, "concat_loses_a_channel", Rewired([](format::FileContent* content) {
            content->tensors[11].channels = content->layers[10].output_channels = 35;
            SetRuns(content->tensors[11], &content->layers[11]);
          }));
}

void AddSlices(std::vector<InvalidFile>* files) {
  Collector all(format::Write(EveryOperatorModel().content), files);
  const auto slice = [&](Status status, const char* name, auto change) {
    all.Layer(status, name, 6, change);
  };
  slice(Status::kWindow, "slice_without_stride", [](LayerRecord* l) { l->stride_h = 0; });
  slice(Status::kWindow, "slice_stride_1025", [](LayerRecord* l) { l->stride_w = 1025; });
  slice(Status::kSliceOffset, "rows", [](LayerRecord* l) { l->offset_h = 65536; });
  slice(Status::kSliceOffset, "columns", [](LayerRecord* l) { l->offset_w = -65536; });
  slice(Status::kSliceOffset, "channels",
        [](LayerRecord* l) { l->offset_c = std::numeric_limits<std::int32_t>::min(); });
  slice(Status::kOutputShape, "slice_of_other_channels",
        [](LayerRecord* l) { l->output_channels = 6; });
  all.Layer(Status::kSliceOffset, "convolution", 0, [](LayerRecord* l) { l->offset_h = 1; });
  all.Layer(Status::kSliceOffset, "sum", 7, [](LayerRecord* l) { l->offset_c = -1; });
  all.Layer(Status::kSliceOffset, "dense", 11, [](LayerRecord* l) { l->offset_w = 1; });
  all.Tensor(Status::kPoolQuantization, "slice_of_another_zero_point", 7,
             [](TensorRecord* t) { ++t->zero_point; });
  all.Tensor(Status::kPoolQuantization, "slice_of_another_scale", 7,
             [](TensorRecord* t) { t->scale *= 2; });
}

// Layers before the first Bayesian one run once an image, the others in every pass.
void AddPrefixes(std::vector<InvalidFile>* files) {
  Collector collector({}, files);
  // Every pass reads the input again, though layer 0 is the last to do so.
  TestModel model = EveryOperatorModel();
  model.content.tensors[10].offset = model.content.tensors[0].offset;
  collector.Add(Status::kTensorOverlap, "output_over_the_input_of_the_next_pass",
                format::Write(model.content));
  // Layers 5 to 11 are the passes; layer 6 is the last to read tensor 2, which layer 1 writes.
  model = EveryOperatorModel(5);
  model.content.tensors[10].offset = model.content.tensors[2].offset;
  collector.Add(Status::kTensorOverlap, "output_over_a_tensor_of_the_prefix",
                format::Write(model.content));
  model = EveryOperatorModel(5);
  model.content.tensors[2].last_layer = 5;
  collector.Add(Status::kOperandIndex, "prefix_read_too_late", format::Write(model.content));
  model = EveryOperatorModel(5);
  model.content.tensors[2].last_layer = 4;
  collector.Add(Status::kOperandIndex, "prefix_no_longer_alive", format::Write(model.content));
  // Tensor 6 lies where tensor 4 lies, which layer 5 adds. What makes that right is taken away.
  model = ReplacedResidualModel();
  model.content.tensors[4].last_layer = 6;
  collector.Add(Status::kTensorOverlap, "output_over_a_residual_alive",
                format::Write(model.content));
  model = ReplacedResidualModel();
  model.content.tensors[6].offset += 64;
  collector.Add(Status::kTensorOverlap, "output_beside_its_residual", format::Write(model.content));
  model = ReplacedResidualModel();
  model.content.tensors[6].row_stride += 1;
  collector.Add(Status::kTensorOverlap, "output_of_another_stride_than_its_residual",
                format::Write(model.content));
  model = ReplacedResidualModel();
  model.content.layers[5].input = 4;
  collector.Add(Status::kTensorOverlap, "output_over_a_residual_that_is_the_input",
                format::Write(model.content));
  model = ReplacedResidualModel();
  model.content.tensors[8].offset = model.content.tensors[6].offset;
  collector.Add(Status::kTensorOverlap, "sum_over_its_operand", format::Write(model.content));
  // Nothing is Bayesian: all but the last layer run once.
  model = EveryOperatorModel(12);
  model.content.tensors[11].offset = model.content.tensors[10].offset;
  collector.Add(Status::kTensorOverlap, "deterministic", format::Write(model.content));
}

}  // namespace

std::vector<InvalidFile> InvalidGraphs() {
  std::vector<InvalidFile> files;
  AddTensors(&files);
  AddGraphs(&files);
  AddLayers(&files);
  AddDense(&files);
  AddPools(&files);
  AddSecondOperands(&files);
  AddSecondShapes(&files);
  AddSlices(&files);
  AddPrefixes(&files);
  return files;
}

}  // namespace mu8::testing
