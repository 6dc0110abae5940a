// Invalid files, part two: tensors and layers that do not make sense, alone or together.
#include <limits>

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
  collector.Add(Status::kTensorLifetime, "input_read_too_late", format::Write(twice.content));
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
  content.parameters.emplace_back(
      format::MakeParameterLayout(format::MakePanelLayout(content.layers.back()), false, 0).bytes);
  Finish(&content, false);
  for (TensorRecord& tensor : content.tensors) tensor.last_layer = 65;
  collector.Add(Status::kTooManyLiveTensors, "sixty_five", format::Write(content));
}

void AddLayers(std::vector<InvalidFile>* files) {
  Collector tiny(format::Write(TinyModel(2).content), files);
  tiny.Layer(Status::kReservedNotZero, "layer", 0, [](LayerRecord* l) { l->reserved[18] = 1; });
  tiny.Layer(Status::kReservedNotZero, "layer_flags", 0, [](LayerRecord* l) { l->flags |= 2; });
  tiny.Layer(Status::kReservedNotZero, "second_input", 0, [](LayerRecord* l) { l->input2 = 0; });
  tiny.Layer(Status::kUnknownOperator, "zero", 0, [](LayerRecord* l) { l->op = 0; });
  tiny.Layer(Status::kUnknownOperator, "six", 0, [](LayerRecord* l) { l->op = 6; });
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
  tiny.Layer(Status::kGroups, "none", 0, [](LayerRecord* l) { l->groups = 0; });
  tiny.Layer(Status::kGroups, "do_not_divide", 0, [](LayerRecord* l) { l->groups = 5; });
  TestModel model = TinyModel(2);
  model.content.tensors[0].channels = model.content.layers[0].groups = 3;  // of 5 outputs
  model.content.tensors[0].row_stride = 0;
  model.content.input_table.resize(3 * 256);
  Finish(&model.content, false);
  tiny.Add(Status::kGroups, "do_not_divide_the_output", format::Write(model.content));
  tiny.Layer(Status::kBitWidth, "mu_7", 0, [](LayerRecord* l) { l->mu_bits = 7; });
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

// layers: 0 convolution, 1 max-pool, 2 grouped convolution, 3 average pool, 4 look-up, 5 dense.
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

}  // namespace

std::vector<InvalidFile> InvalidGraphs() {
  std::vector<InvalidFile> files;
  AddTensors(&files);
  AddGraphs(&files);
  AddLayers(&files);
  AddDense(&files);
  AddPools(&files);
  return files;
}

}  // namespace mu8::testing
