// The oneDNN primitives of single nodes, and the way of weights into the layouts that they prefer.
#include "converters/fp32/primitives.h"

#include <algorithm>
#include <string>

#include "converters/host/error.h"

namespace mu8::convert {
namespace {

using dnnl::memory;
using Dims = memory::dims;

memory::desc Any(const Dims& dims) {
  return memory::desc(dims, memory::data_type::f32, memory::format_tag::any);
}

std::size_t FloatCount(const memory::desc& desc) { return desc.get_size() / sizeof(float); }

std::string SizeProblem(const char* what, const std::vector<float>& data, std::size_t expected) {
  return std::string(what) + ": " + std::to_string(data.size()) + " numbers, expected " +
         std::to_string(expected);
}

// Primitives take their scratch memory from us: oneDNN's own belongs to the creating thread.
dnnl::primitive_attr Attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

memory::dim OutputSize(memory::dim in, int kernel, int stride, int dilation, int pads) {
  const memory::dim span = in + pads - (memory::dim{dilation} * (kernel - 1) + 1);
  return span < 0 || stride < 1 ? 0 : span / stride + 1;
}

void CheckWindow(const Window& w, const Fp32Shape& in, const Fp32Shape& out) {
  const memory::dim height =
      OutputSize(in.height, w.kernel_h, w.stride_h, w.dilation_h, w.pad_top + w.pad_bottom);
  const memory::dim width =
      OutputSize(in.width, w.kernel_w, w.stride_w, w.dilation_w, w.pad_left + w.pad_right);
  if (height == out.height && width == out.width) return;
  throw host::Error("output is " + std::to_string(out.height) + " x " + std::to_string(out.width) +
                    ", its window gives " + std::to_string(height) + " x " + std::to_string(width));
}

}  // namespace

void Fp32Executor::Impl::AddConv(const Node& node, Fp32Step* step) {
  const Fp32Shape in = ShapeOf(node.inputs[0]);
  const Fp32Shape out = ShapeOf(node.output);
  const Window& w = node.window;
  const memory::dim groups = node.groups;
  CheckWindow(w, in, out);
  if (groups < 1 || in.channels % groups != 0 || out.channels % groups != 0) {
    throw host::Error(std::to_string(groups) + " groups do not divide " +
                      std::to_string(in.channels) + " input and " + std::to_string(out.channels) +
                      " output channels");
  }
  const memory::dim c_out = out.channels / groups, c_in = in.channels / groups;
  // OHWI as strides, since no format tag covers groups; oneDNN's order is (G)OIHW.
  Dims dims{c_out, c_in, w.kernel_h, w.kernel_w};
  Dims strides{c_in * w.kernel_w * w.kernel_h, 1, c_in * w.kernel_w, c_in};
  if (groups > 1) {
    dims.insert(dims.begin(), groups);
    strides.insert(strides.begin(), c_out * strides[0]);
  }
  const memory::desc bias = node.bias.mu.empty() ? memory::desc() : Plain({out.channels});
  const dnnl::convolution_forward::primitive_desc desc({dnnl::prop_kind::forward_inference,
                                                        dnnl::algorithm::convolution_direct,
                                                        Nhwc(in),
                                                        Any(dims),
                                                        bias,
                                                        Nhwc(out),
                                                        {w.stride_h, w.stride_w},
                                                        {w.dilation_h - 1, w.dilation_w - 1},
                                                        {w.pad_top, w.pad_left},
                                                        {w.pad_bottom, w.pad_right}},
                                                       Attributes(), engine);
  step->weights =
      MakeParameter(memory::desc(dims, memory::data_type::f32, strides), desc.weights_desc());
  if (!node.bias.mu.empty()) step->bias = MakeParameter(bias, bias);
  step->primitive = dnnl::convolution_forward(desc);
  step->arguments = {{DNNL_ARG_SRC, At(node.inputs[0])},
                     {DNNL_ARG_WEIGHTS, step->weights.target},
                     {DNNL_ARG_DST, At(node.output)}};
  if (step->bias.count > 0) step->arguments[DNNL_ARG_BIAS] = step->bias.target;
  step->arguments[DNNL_ARG_SCRATCHPAD] = Scratch(desc.scratchpad_desc());
}

void Fp32Executor::Impl::AddDense(const Node& node, Fp32Step* step) {
  const memory in = Flat(node.inputs[0]);
  const memory out = Flat(node.output);
  const Dims dims{out.get_desc().dims()[1], in.get_desc().dims()[1]};
  const memory::desc bias = node.bias.mu.empty() ? memory::desc() : Plain({dims[0]});
  const dnnl::inner_product_forward::primitive_desc desc(
      {dnnl::prop_kind::forward_inference, in.get_desc(), Any(dims), bias, out.get_desc()},
      Attributes(), engine);
  step->weights = MakeParameter(Plain(dims), desc.weights_desc());
  if (!node.bias.mu.empty()) step->bias = MakeParameter(bias, bias);
  step->primitive = dnnl::inner_product_forward(desc);
  step->arguments = {
      {DNNL_ARG_SRC, in}, {DNNL_ARG_WEIGHTS, step->weights.target}, {DNNL_ARG_DST, out}};
  if (step->bias.count > 0) step->arguments[DNNL_ARG_BIAS] = step->bias.target;
  step->arguments[DNNL_ARG_SCRATCHPAD] = Scratch(desc.scratchpad_desc());
}

void Fp32Executor::Impl::AddPool(const Node& node, Fp32Step* step) {
  const Fp32Shape in = ShapeOf(node.inputs[0]);
  const Fp32Shape out = ShapeOf(node.output);
  const Window& w = node.window;
  CheckWindow(w, in, out);
  if (in.channels != out.channels) throw host::Error("a pool cannot change the number of channels");
  dnnl::algorithm algorithm = dnnl::algorithm::pooling_max;
  if (node.op == Op::kAveragePool) {
    algorithm = node.count_include_pad ? dnnl::algorithm::pooling_avg_include_padding
                                       : dnnl::algorithm::pooling_avg_exclude_padding;
  }
  const dnnl::pooling_v2_forward::primitive_desc desc({dnnl::prop_kind::forward_inference,
                                                       algorithm,
                                                       Nhwc(in),
                                                       Nhwc(out),
                                                       {w.stride_h, w.stride_w},
                                                       {w.kernel_h, w.kernel_w},
                                                       {w.dilation_h - 1, w.dilation_w - 1},
                                                       {w.pad_top, w.pad_left},
                                                       {w.pad_bottom, w.pad_right}},
                                                      Attributes(), engine);
  step->primitive = dnnl::pooling_v2_forward(desc);
  step->arguments = {{DNNL_ARG_SRC, At(node.inputs[0])}, {DNNL_ARG_DST, At(node.output)}};
  step->arguments[DNNL_ARG_SCRATCHPAD] = Scratch(desc.scratchpad_desc());
}

// x * scale with "+ offset" as a post-operation of the same primitive: still one value.
void Fp32Executor::Impl::AddAffine(const Node& node, Fp32Step* step) {
  const memory in = At(node.inputs[0]);
  const memory out = At(node.output);
  if (in.get_desc() != out.get_desc()) throw host::Error("input and output differ in size");
  const memory::desc per_channel = Nhwc({1, ShapeOf(node.output).channels, 1, 1});
  dnnl::primitive_attr attributes = Attributes();
  dnnl::post_ops add_offset;
  add_offset.append_binary(dnnl::algorithm::binary_add, per_channel);
  attributes.set_post_ops(add_offset);
  const dnnl::binary::primitive_desc desc(
      {dnnl::algorithm::binary_mul, in.get_desc(), per_channel, out.get_desc()}, attributes,
      engine);
  step->primitive = dnnl::binary(desc);
  step->arguments = {
      {DNNL_ARG_SRC_0, in},
      {DNNL_ARG_SRC_1, Constant(node.scale, per_channel)},
      {DNNL_ARG_DST, out},
      {DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, Constant(node.offset, per_channel)}};
  step->arguments[DNNL_ARG_SCRATCHPAD] = Scratch(desc.scratchpad_desc());
}

Fp32Parameter Fp32Executor::Impl::MakeParameter(const memory::desc& source,
                                                const memory::desc& target) {
  const dnnl::reorder::primitive_desc desc(engine, source, engine, target, Attributes());
  Fp32Parameter parameter;
  parameter.reorder = dnnl::reorder(desc);
  parameter.source = memory(source, engine, nullptr);
  parameter.target = memory(target, engine);
  parameter.scratch = Scratch(desc.scratchpad_desc());
  parameter.count = FloatCount(source);
  return parameter;
}

memory Fp32Executor::Impl::Constant(const std::vector<float>& data, const memory::desc& desc) {
  if (data.size() != FloatCount(desc))
    throw host::Error(SizeProblem("affine", data, FloatCount(desc)));
  memory constant(desc, engine);
  std::copy(data.begin(), data.end(), static_cast<float*>(constant.get_data_handle()));
  return constant;
}

// A view of the scratch buffer, which is allocated once all sizes are known.
memory Fp32Executor::Impl::Scratch(const memory::desc& desc) {
  scratch_bytes = std::max(scratch_bytes, desc.get_size());
  return memory(desc, engine, nullptr);
}

void Fp32Executor::Impl::Set(const char* what, const std::vector<float>& data,
                             Fp32Parameter* parameter) {
  if (data.size() != parameter->count) throw host::Error(SizeProblem(what, data, parameter->count));
  if (parameter->count == 0) return;
  // oneDNN has no read-only memory; the source of a reorder is only read.
  parameter->source.set_data_handle(const_cast<float*>(data.data()));
  parameter->reorder.execute(stream, {{DNNL_ARG_FROM, parameter->source},
                                      {DNNL_ARG_TO, parameter->target},
                                      {DNNL_ARG_SCRATCHPAD, parameter->scratch}});
}

}  // namespace mu8::convert
