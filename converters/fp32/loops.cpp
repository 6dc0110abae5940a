// Loops over NHWC values. Memory bounds them, not arithmetic: the compiler's vectors do.
#include "converters/fp32/loops.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "converters/host/error.h"

namespace mu8::convert {
namespace {

using Inputs = std::span<const float* const>;

const Value& ValueAt(const Network& network, int index) {
  return network.values[static_cast<std::size_t>(index)];
}

Loop MakeClip(const Node& node, std::size_t size) {
  return
      [low = node.low, high = node.high, size](std::size_t images, Inputs inputs, float* output) {
        const float* input = inputs[0];
        for (std::size_t i = 0; i < images * size; ++i) {
          output[i] = std::min(std::max(input[i], low), high);
        }
      };
}

Loop MakeLookup(const Node& node, std::size_t size) {
  if (!node.functions.empty()) {
    return [functions = node.functions, size](std::size_t images, Inputs inputs, float* output) {
      for (std::size_t i = 0; i < images * size; ++i) {
        output[i] = static_cast<float>(functions[i % functions.size()](double{inputs[0][i]}));
      }
    };
  }
  return [function = node.function, size](std::size_t images, Inputs inputs, float* output) {
    for (std::size_t i = 0; i < images * size; ++i) {
      output[i] = static_cast<float>(function(double{inputs[0][i]}));
    }
  };
}

Loop MakeAffine(const Value& in, const Value& out, const Node& node) {
  const auto channels = static_cast<std::size_t>(out.channels);
  if (in.height != out.height || in.width != out.width || in.channels != out.channels) {
    throw host::Error("input and output differ in size");
  }
  for (const std::vector<float>* numbers : {&node.scale, &node.offset}) {
    if (numbers->size() == channels) continue;
    throw host::Error("affine: " + std::to_string(numbers->size()) + " numbers, expected " +
                      std::to_string(channels));
  }
  return [scale = node.scale, offset = node.offset, size = out.size()](
             std::size_t images, Inputs inputs, float* output) {
    const float* input = inputs[0];
    const std::size_t row = scale.size();
    for (std::size_t i = 0; i < images * size; i += row, input += row, output += row) {
      for (std::size_t c = 0; c < row; ++c) output[c] = input[c] * scale[c] + offset[c];
    }
  };
}

// Sum or product of two values, the second of which may be one pixel that holds for all.
template <typename Operation>
Loop MakeBinary(const Value& first, const Value& second, Operation operation) {
  const std::size_t size = first.size(), row = second.size();
  return [=](std::size_t images, Inputs inputs, float* output) {
    const float* a = inputs[0];
    const float* b = inputs[1];
    for (std::size_t image = 0; image < images; ++image, b += row) {
      for (std::size_t i = 0; i < size; i += row, a += row, output += row) {
        for (std::size_t c = 0; c < row; ++c) output[c] = operation(a[c], b[c]);
      }
    }
  };
}

Loop MakeConcat(const Network& network, const Node& node) {
  std::vector<std::size_t> channels;
  for (const int input : node.inputs) {
    channels.push_back(static_cast<std::size_t>(ValueAt(network, input).channels));
  }
  const Value& out = ValueAt(network, node.output);
  const std::size_t all = static_cast<std::size_t>(out.channels);
  return [=, pixels = out.size() / all](std::size_t images, Inputs inputs, float* output) {
    for (std::size_t part = 0; part < channels.size(); ++part) {
      const std::size_t count = channels[part];
      for (std::size_t pixel = 0; pixel < images * pixels; ++pixel) {
        std::memcpy(output + pixel * all, inputs[part] + pixel * count, count * sizeof(float));
      }
      output += count;
    }
  };
}

// Channels [begin, end) of the output come from input channels begin + offset_c on; the others, and
// pixels outside the input, are 0.
Loop MakeSlice(const Value& in, const Value& out, const Node& node) {
  return [in, out, stride_h = node.window.stride_h, stride_w = node.window.stride_w,
          offset_h = node.offset_h, offset_w = node.offset_w,
          offset_c = node.offset_c](std::size_t images, Inputs inputs, float* output) {
    const int begin = std::clamp(-offset_c, 0, out.channels);
    const int end = std::clamp(in.channels - offset_c, begin, out.channels);
    std::memset(output, 0, images * out.size() * sizeof(float));
    for (std::size_t image = 0; image < images; ++image) {
      const float* from = inputs[0] + image * in.size();
      float* to = output + image * out.size();
      for (int y = 0; y < out.height; ++y) {
        for (int x = 0; x < out.width; ++x, to += out.channels) {
          const std::int64_t row = std::int64_t{y} * stride_h + offset_h;
          const std::int64_t column = std::int64_t{x} * stride_w + offset_w;
          if (row < 0 || row >= in.height || column < 0 || column >= in.width) continue;
          const float* pixel = from + (row * in.width + column) * in.channels;
          std::copy(pixel + begin + offset_c, pixel + end + offset_c, to + begin);
        }
      }
    }
  };
}

Loop MakeGather(const Value& in, const Value& out, const Node& node) {
  return [in, out, rows = node.rows, columns = node.columns, channels = node.channels](
             std::size_t images, Inputs inputs, float* output) {
    const std::size_t stride =
        static_cast<std::size_t>(in.width) * static_cast<std::size_t>(in.channels);
    for (std::size_t image = 0; image < images; ++image) {
      const float* from = inputs[0] + image * in.size();
      for (const format::GatherPlace& y : rows) {
        for (const format::GatherPlace& x : columns) {
          for (const format::GatherPlace& c : channels) {
            const bool outside =
                y.row == format::kOutside || x.row == format::kOutside || c.row == format::kOutside;
            const std::size_t row = std::size_t{y.row} + x.row + c.row;
            const std::size_t offset = std::size_t{y.offset} + x.offset + c.offset;
            *output++ = outside ? 0.0F : from[row * stride + offset];
          }
        }
      }
    }
  };
}

Loop MakeConstant(const Node& node) {
  return [values = node.values](std::size_t images, Inputs, float* output) {
    for (std::size_t image = 0; image < images; ++image) {
      output = std::copy(values.begin(), values.end(), output);
    }
  };
}

}  // namespace

Loop MakeLoop(const Network& network, const Node& node) {
  const Value& in = ValueAt(network, node.inputs[0]);
  const Value& out = ValueAt(network, node.output);
  switch (node.op) {
    case Op::kClip:
      return MakeClip(node, out.size());
    case Op::kLookup:
      return MakeLookup(node, out.size());
    case Op::kAdd:
      return MakeBinary(in, ValueAt(network, node.inputs[1]),
                        [](float a, float b) { return a + b; });
    case Op::kMultiply:
      return MakeBinary(in, ValueAt(network, node.inputs[1]),
                        [](float a, float b) { return a * b; });
    case Op::kConcat:
      return MakeConcat(network, node);
    case Op::kSlice:
      return MakeSlice(in, out, node);
    case Op::kMaximum:
      return MakeBinary(in, ValueAt(network, node.inputs[1]),
                        [](float a, float b) { return std::max(a, b); });
    case Op::kMinimum:
      return MakeBinary(in, ValueAt(network, node.inputs[1]),
                        [](float a, float b) { return std::min(a, b); });
    case Op::kGather:
      return MakeGather(in, out, node);
    case Op::kConstant:
      return MakeConstant(node);
    case Op::kAffine:
      return MakeAffine(in, out, node);
    case Op::kConv2d:
    case Op::kConvTranspose:
    case Op::kDense:
    case Op::kMaxPool:
    case Op::kAveragePool:
      break;
  }
  return nullptr;
}

}  // namespace mu8::convert
