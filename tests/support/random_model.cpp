#include "tests/support/random_model.h"

#include <algorithm>
#include <span>

namespace mu8::testing {
namespace {

using format::LayerRecord;
using format::OpCode;
using format::TensorRecord;

// One axis of a window: all in pixels.
struct Axis {
  std::uint32_t kernel = 1, stride = 1, dilation = 1, pad = 0, pad_after = 0, out = 1;
};

class Graph {
 public:
  Graph(Random* random, bool dense_outputs) : random_(*random), dense_outputs_(dense_outputs) {}

  TestModel Build() {
    const std::uint32_t channels = random_.OneOf<std::uint32_t>({1, 1, 2, 3, 4, 5, 7, 8});
    AddTensor(Dimension(1, 11), Dimension(1, 11), channels, Scale(), ZeroPoint());
    const int layers = random_.Between(1, 8);
    deterministic_layers_ = random_.OneIn(3) ? random_.Between(1, 9) : 0;
    for (int i = 0; i + 1 < layers; ++i) AddLayer();
    AddLogits();
    Layout();
    AddParameters();
    return std::move(model_);
  }

 private:
  format::FileContent& content() { return model_.content; }
  std::vector<TensorRecord>& tensors() { return model_.content.tensors; }

  std::uint32_t Dimension(int low, int high) {
    return static_cast<std::uint32_t>(random_.Between(low, high));
  }
  float Scale() { return static_cast<float>(0.005 + 0.05 * random_.Unit()); }
  std::uint8_t ZeroPoint() {
    return random_.OneIn(2) ? std::uint8_t{0} : static_cast<std::uint8_t>(random_.Below(256));
  }

  void AddTensor(std::uint32_t height, std::uint32_t width, std::uint32_t channels, float scale,
                 std::uint8_t zero_point) {
    tensors().push_back(MakeTensor(height, width, channels, scale, zero_point));
    flat_.push_back(false);
  }

  // The newest tensor mostly, sometimes an older one.
  std::uint16_t PickInput() {
    const auto newest = static_cast<std::uint32_t>(tensors().size()) - 1;
    return static_cast<std::uint16_t>(random_.OneIn(5) ? random_.Below(newest + 1) : newest);
  }

  bool HasPadding(const TensorRecord& t) {
    return (t.pad_top | t.pad_bottom | t.pad_left | t.pad_right) != 0;
  }

  // A window of a convolution that fits `extent` pixels with the padding it asks for.
  Axis ConvolutionAxis(std::uint32_t extent, bool may_pad, bool single) {
    Axis axis;
    axis.kernel = Dimension(1, 4);
    axis.dilation = random_.OneIn(3) ? Dimension(2, 3) : 1;
    axis.stride = Dimension(1, 3);
    axis.pad = may_pad ? random_.Below(3) : 0;
    axis.pad_after = may_pad ? random_.Below(3) : 0;
    const std::uint32_t padded = axis.pad + extent + axis.pad_after;
    axis.kernel = std::min(axis.kernel, (padded - 1) / axis.dilation + 1);
    const std::uint32_t reach = (axis.kernel - 1) * axis.dilation + 1;
    axis.out = single && !dense_outputs_ ? 1 : (padded - reach) / axis.stride + 1;
    return axis;
  }

  // A pooling window: less padding than taps, and every window meets a pixel.
  Axis PoolAxis(std::uint32_t extent) {
    Axis axis;
    axis.kernel = Dimension(1, 4);
    axis.stride = Dimension(1, 3);
    axis.pad = random_.Below(axis.kernel);
    axis.out = 1 + random_.Below((extent + axis.pad - 1) / axis.stride + 1);
    return axis;
  }

  static void SetWindow(const Axis& rows, const Axis& cols, LayerRecord* layer) {
    layer->kernel_h = static_cast<std::uint16_t>(rows.kernel);
    layer->kernel_w = static_cast<std::uint16_t>(cols.kernel);
    layer->stride_h = static_cast<std::uint16_t>(rows.stride);
    layer->stride_w = static_cast<std::uint16_t>(cols.stride);
    layer->dilation_h = static_cast<std::uint16_t>(rows.dilation);
    layer->dilation_w = static_cast<std::uint16_t>(cols.dilation);
    layer->pad_top = static_cast<std::uint16_t>(rows.pad);
    layer->pad_left = static_cast<std::uint16_t>(cols.pad);
  }

  // Physical padding that a convolution needs of its input.
  static void Demand(const Axis& rows, const Axis& cols, TensorRecord* in) {
    const auto raise = [](std::uint16_t* pad, std::uint32_t needed) {
      *pad = std::max(*pad, static_cast<std::uint16_t>(needed));
    };
    raise(&in->pad_top, rows.pad);
    raise(&in->pad_bottom, rows.pad_after);
    raise(&in->pad_left, cols.pad);
    raise(&in->pad_right, cols.pad_after);
  }

  void SetNoise(LayerRecord* layer) {
    const auto index = static_cast<int>(content().layers.size());
    if (random_.OneIn(3)) layer->mu_bits = static_cast<std::uint8_t>(random_.Between(1, 8));
    if (random_.OneIn(8)) layer->mu_bits = format::kMuBitsByPanel;
    if (index < deterministic_layers_ || random_.OneIn(6)) return;
    layer->flags |= format::kLayerBayesian;
    layer->sigma_bits = random_.OneOf<std::uint8_t>({8, 4, 2, 1, 0});
  }

  void SetClamp(std::uint8_t zero_point, LayerRecord* layer) {
    if (random_.OneIn(2)) layer->clamp_min = zero_point;  // ReLU
    if (random_.OneIn(4)) {
      layer->clamp_max = static_cast<std::uint8_t>(random_.Between(layer->clamp_min, 255));
    }
  }

  void AddConvolution(std::uint16_t input, bool last) {
    TensorRecord& in = tensors()[input];
    const Axis rows = ConvolutionAxis(in.height, !flat_[input], last);
    const Axis cols = ConvolutionAxis(in.width, !flat_[input], last);
    Demand(rows, cols, &in);
    std::uint32_t groups = 1;
    if (random_.OneIn(3)) {
      groups = 1 + random_.Below(in.channels);
      while (in.channels % groups != 0) --groups;
    }
    if (random_.OneIn(6)) groups = in.channels;
    const bool depthwise = groups == in.channels && random_.OneIn(2);
    const std::uint32_t per_group = depthwise    ? 1
                                    : groups > 4 ? Dimension(1, 2)
                                                 : Dimension(1, last ? 7 : 20);
    LayerRecord layer = MakeLayer(OpCode::kConv2d, input, groups * per_group);
    layer.groups = groups;
    SetWindow(rows, cols, &layer);
    SetRuns(in, &layer);
    if (last && rows.out * cols.out > 1) {
      content().output_height = rows.out;
      content().output_width = cols.out;
    }
    Finish(rows, cols, last, &layer);
  }

  void AddDense(std::uint16_t input, bool last) {
    flat_[input] = true;
    LayerRecord layer = MakeLayer(OpCode::kDense, input, Dimension(1, last ? 11 : 37));
    SetRuns(tensors()[input], &layer);
    Finish({}, {}, last, &layer);
  }

  void Finish(const Axis& rows, const Axis& cols, bool last, LayerRecord* layer) {
    SetNoise(layer);
    if (!last) {
      const std::uint8_t zero_point = ZeroPoint();
      SetClamp(zero_point, layer);
      const bool residual = static_cast<OpCode>(layer->op) == OpCode::kConv2d && random_.OneIn(2);
      const TensorRecord shape = MakeTensor(rows.out, cols.out, layer->output_channels, 1.0F, 0);
      if (residual) layer->input2 = PickResidual(shape, layer->input);
      AddTensor(rows.out, cols.out, layer->output_channels, Scale(), zero_point);
    }
    content().layers.push_back(*layer);
  }

  void AddPool(OpCode op, std::uint16_t input) {
    const TensorRecord in = tensors()[input];
    const Axis rows = PoolAxis(in.height);
    const Axis cols = PoolAxis(in.width);
    LayerRecord layer = MakeLayer(op, input, in.channels);
    SetWindow(rows, cols, &layer);
    float scale = in.scale;
    std::uint8_t zero_point = in.zero_point;
    if (op == OpCode::kAveragePool) {
      if (random_.OneIn(2)) layer.flags = format::kLayerCountPadding;
      // s_in / s_out / area may not pass 1.
      const double least = rows.kernel * cols.kernel == 1 ? 1.01 : 0.6;
      scale = static_cast<float>(static_cast<double>(in.scale) * (least + random_.Unit()));
      zero_point = ZeroPoint();
    }
    SetClamp(zero_point, &layer);
    AddTensor(rows.out, cols.out, in.channels, scale, zero_point);
    content().layers.push_back(layer);
  }

  void AddLookup(std::uint16_t input) {
    const TensorRecord in = tensors()[input];
    AddTensor(in.height, in.width, in.channels, Scale(), ZeroPoint());
    content().layers.push_back(MakeLayer(OpCode::kLookup, input, in.channels));
    if (random_.OneIn(3)) content().layers.back().flags = format::kLayerByChannel;
  }

  // A tensor that fits beside `input` in an elementwise layer: the input itself or any of its
  // shape.
  std::uint16_t PickPartner(const TensorRecord& shape, bool may_be_pixel) {
    std::vector<std::uint16_t> fitting;
    for (std::size_t t = 0; t < tensors().size(); ++t) {
      const TensorRecord& tensor = tensors()[t];
      const bool same = tensor.height == shape.height && tensor.width == shape.width;
      const bool pixel = may_be_pixel && tensor.height == 1 && tensor.width == 1;
      if (tensor.channels == shape.channels && (same || pixel)) {
        fitting.push_back(static_cast<std::uint16_t>(t));
      }
    }
    if (fitting.empty()) return format::kNoTensor;
    return fitting[random_.Below(static_cast<std::uint32_t>(fitting.size()))];
  }

  // A tensor of that shape; often a new one, since few have it by chance.
  std::uint16_t PickResidual(const TensorRecord& shape, std::uint16_t input) {
    const std::uint16_t fitting = PickPartner(shape, false);
    if (fitting != format::kNoTensor || random_.OneIn(2)) return fitting;
    AddSlice(input, shape);
    return static_cast<std::uint16_t>(tensors().size() - 1);
  }

  void AddElementwise(OpCode op, std::uint16_t input) {
    const TensorRecord in = tensors()[input];
    LayerRecord layer = MakeLayer(op, input, in.channels);
    layer.input2 = PickPartner(in, true);
    const std::uint8_t zero_point = ZeroPoint();
    SetClamp(zero_point, &layer);
    float scale = Scale();
    if (op == OpCode::kMultiply) {
      // The multiplier is below 1; average pools make scales larger.
      scale = std::max(scale, 1.01F * in.scale * tensors()[layer.input2].scale);
    }
    AddTensor(in.height, in.width, in.channels, scale, zero_point);
    content().layers.push_back(layer);
  }

  void AddSlice(std::uint16_t input, const TensorRecord& shape) {
    const TensorRecord in = tensors()[input];
    LayerRecord layer = MakeLayer(OpCode::kSlice, input, shape.channels);
    layer.stride_h = static_cast<std::uint16_t>(Dimension(1, 3));
    layer.stride_w = static_cast<std::uint16_t>(Dimension(1, 3));
    layer.offset_h = random_.Between(-4, 4);
    layer.offset_w = random_.Between(-4, 4);
    layer.offset_c = random_.Between(-6, 6);
    AddTensor(shape.height, shape.width, shape.channels, in.scale, in.zero_point);
    content().layers.push_back(layer);
  }

  void AddConcat(std::uint16_t input) {
    const TensorRecord in = tensors()[input];
    std::vector<std::uint16_t> fitting;
    for (std::size_t t = 0; t < tensors().size(); ++t) {
      if (tensors()[t].height == in.height && tensors()[t].width == in.width) {
        fitting.push_back(static_cast<std::uint16_t>(t));
      }
    }
    const std::uint16_t second = fitting[random_.Below(static_cast<std::uint32_t>(fitting.size()))];
    const std::uint32_t channels = in.channels + tensors()[second].channels;
    LayerRecord layer = MakeLayer(OpCode::kConcat, input, channels);
    layer.input2 = second;
    AddTensor(in.height, in.width, channels, Scale(), ZeroPoint());
    content().layers.push_back(layer);
  }

  void AddExtremum(OpCode op, std::uint16_t input) {
    const TensorRecord in = tensors()[input];
    LayerRecord layer = MakeLayer(op, input, in.channels);
    layer.input2 = PickPartner(in, true);
    AddTensor(in.height, in.width, in.channels, Scale(), ZeroPoint());
    content().layers.push_back(layer);
  }

  void AddConstant(std::uint16_t input) {
    LayerRecord layer = MakeLayer(OpCode::kConstant, input, Dimension(1, 12));
    AddTensor(Dimension(1, 9), Dimension(1, 9), layer.output_channels, Scale(), ZeroPoint());
    content().layers.push_back(layer);
  }

  void AddGather(std::uint16_t input) {
    const TensorRecord in = tensors()[input];
    LayerRecord layer = MakeLayer(OpCode::kGather, input, Dimension(1, 12));
    AddTensor(Dimension(1, 9), Dimension(1, 9), layer.output_channels, in.scale, in.zero_point);
    content().layers.push_back(layer);
  }

  // Places that may add up to the last byte of the last row, but no further.
  std::vector<std::uint8_t> Places(const TensorRecord& in, const TensorRecord& out) {
    std::uint32_t rows = in.height - 1;
    std::uint32_t bytes = in.width * in.channels - 1;
    std::vector<format::GatherPlace> places;
    const bool copies = random_.OneIn(3) && out.channels <= bytes + 1;
    for (const std::uint32_t count : {out.channels, out.width, out.height}) {
      const bool channels = places.empty();
      const std::uint32_t row = random_.Below(rows + 1);
      const std::uint32_t byte = channels && copies ? out.channels - 1 : random_.Below(bytes + 1);
      std::vector<format::GatherPlace> part;
      for (std::uint32_t i = 0; i < count; ++i) {
        part.push_back({random_.Below(row + 1), random_.Below(byte + 1)});
        if (channels && copies) {
          part.back() = {0, i};
        } else if (random_.OneIn(8)) {
          part.back() = {format::kOutside, 0};
        }
      }
      rows -= row;
      bytes -= byte;
      places.insert(places.begin(), part.begin(), part.end());
    }
    return PackPlaces(places);
  }

  void AddLayer() {
    const std::uint16_t input = PickInput();
    switch (random_.Below(20)) {
      case 10:
        return AddElementwise(OpCode::kAdd, input);
      case 11:
        return AddElementwise(OpCode::kMultiply, input);
      case 12:
        return AddSlice(input,
                        MakeTensor(Dimension(1, 9), Dimension(1, 9), Dimension(1, 12), 1.0F, 0));
      case 13:
        return AddConcat(input);
      case 14:
        return AddGather(input);
      case 15:
        return AddExtremum(OpCode::kMaximum, input);
      case 16:
        return AddExtremum(OpCode::kMinimum, input);
      case 17:
        return AddConstant(input);
      case 0:
        return AddLookup(input);
      case 1:
      case 2:
        return AddPool(OpCode::kMaxPool, input);
      case 3:
      case 4:
        return AddPool(OpCode::kAveragePool, input);
      case 5:
        if (!HasPadding(tensors()[input])) return AddDense(input, false);
        break;
      default:
        break;
    }
    AddConvolution(input, false);
  }

  void AddLogits() {
    const auto input = static_cast<std::uint16_t>(tensors().size() - 1);
    if (dense_outputs_ || HasPadding(tensors()[input]) || random_.OneIn(3))
      return AddConvolution(input, true);
    AddDense(input, true);
  }

  // More padding and gaps than asked for, except where a dense layer reads rows as one vector.
  void Layout() {
    for (std::size_t t = 0; t < tensors().size(); ++t) {
      TensorRecord& tensor = tensors()[t];
      if (flat_[t] || random_.OneIn(2)) continue;
      tensor.pad_top = static_cast<std::uint16_t>(tensor.pad_top + random_.Below(2));
      tensor.pad_left = static_cast<std::uint16_t>(tensor.pad_left + random_.Below(2));
      tensor.row_stride =
          (tensor.pad_left + tensor.width + tensor.pad_right) * tensor.channels + random_.Below(9);
    }
    for (std::size_t i = 0; i + 1 < content().layers.size(); ++i) {
      const LayerRecord& layer = content().layers[i];
      const bool residual = static_cast<OpCode>(layer.op) == OpCode::kConv2d &&
                            layer.input2 != format::kNoTensor && !flat_[layer.input2] &&
                            !flat_[i + 1];
      if (residual && random_.OneIn(2)) ShareGeometry(&tensors()[layer.input2], &tensors()[i + 1]);
    }
    testing::Finish(&content(), random_.OneIn(2));
  }

  // The larger padding and stride of two tensors of one shape, for both: one may take the other's
  // place.
  static void ShareGeometry(TensorRecord* a, TensorRecord* b) {
    for (const auto pad : {&TensorRecord::pad_top, &TensorRecord::pad_bottom,
                           &TensorRecord::pad_left, &TensorRecord::pad_right}) {
      a->*pad = b->*pad = std::max(a->*pad, b->*pad);
    }
    const std::uint32_t row = (a->pad_left + a->width + a->pad_right) * a->channels;
    a->row_stride = b->row_stride = std::max({row, a->row_stride, b->row_stride});
  }

  void AddParameters() {
    const std::size_t layers = content().layers.size();
    model_.weights.resize(layers);
    content().parameters.resize(layers);
    for (std::size_t i = 0; i < layers; ++i) {
      LayerRecord& layer = content().layers[i];
      if (layer.mu_bits != 0) {
        const float output_scale = i + 1 == layers ? 0.0F : tensors()[i + 1].scale;
        model_.weights[i] =
            RandomWeights(layer, tensors()[layer.input].scale, output_scale, &random_);
        SetMuBytes(model_.weights[i], &layer);
        content().parameters[i] = Pack(layer, model_.weights[i], &random_);
      } else if (static_cast<OpCode>(layer.op) == OpCode::kGather) {
        content().parameters[i] = Places(tensors()[layer.input], tensors()[i + 1]);
      } else {
        content().parameters[i].resize(TableBytes(layer, tensors()[i + 1]));
        random_.Fill(std::span(content().parameters[i]), 0, 255);
      }
    }
    content().input_table.resize(std::size_t{256} * tensors()[0].channels);
    random_.Fill(std::span(content().input_table), 0, 255);
    content().metadata = {{"name", "random"}};
  }

  // Bytes of parameters that may be anything.
  static std::size_t TableBytes(const LayerRecord& layer, const TensorRecord& output) {
    switch (static_cast<OpCode>(layer.op)) {
      case OpCode::kLookup:
        return format::kLookupBytes * (layer.flags != 0 ? output.channels : 1);
      case OpCode::kConcat:
      case OpCode::kMaximum:
      case OpCode::kMinimum:
        return 2 * format::kLookupBytes;
      case OpCode::kConstant:
        return format::ConstantBytes(output);
      default:
        return 0;
    }
  }

  Random& random_;
  bool dense_outputs_;  // the last layer answers at as many positions as its window has
  TestModel model_;
  int deterministic_layers_ = 0;  // at least so many at the front
  std::vector<bool> flat_;        // read by a dense layer: no padding, no gaps
};

}  // namespace

TestModel RandomModel(Random* random, bool dense_outputs) {
  return Graph(random, dense_outputs).Build();
}

}  // namespace mu8::testing
