#include "converters/onnx/views.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "converters/onnx/shapes.h"

namespace mu8::convert {
namespace {

constexpr std::size_t kMostViewed = 1 << 24;  // elements of a view

// The place in memory of each element, in the order of ONNX's dimensions.
std::vector<std::uint32_t> OrderOf(const Activation& activation) {
  std::vector<Axis> axes;  // the slowest first; those that no dimension has are of one element
  for (const std::vector<Axis>& dim : activation.dims) {
    axes.insert(axes.end(), dim.begin(), dim.end());
  }
  const auto step = [&](Axis axis) {
    return axis == Axis::kChannels ? 1
           : axis == Axis::kWidth  ? activation.channels
                                   : activation.width * activation.channels;
  };
  std::vector<std::uint32_t> order = {0};
  for (const Axis axis : axes) {
    std::vector<std::uint32_t> finer;
    finer.reserve(order.size() * static_cast<std::size_t>(activation.size(axis)));
    for (const std::uint32_t place : order) {
      for (int i = 0; i < activation.size(axis); ++i) {
        finer.push_back(place + static_cast<std::uint32_t>(i * step(axis)));
      }
    }
    order = std::move(finer);
  }
  return order;
}

// Heights, widths and channels of (C, H, W), (C, W) or (C).
struct Extents {
  std::size_t height = 1, width = 1, channels = 1;
};

// The elements of an image in NHWC order, by their places in the memory of the value before.
std::vector<std::uint32_t> ImageOrder(const View& view, const Extents& e) {
  std::vector<std::uint32_t> places;
  places.reserve(view.order.size());
  for (std::size_t y = 0; y < e.height; ++y) {
    for (std::size_t x = 0; x < e.width; ++x) {
      for (std::size_t c = 0; c < e.channels; ++c) {
        places.push_back(view.order[(c * e.height + y) * e.width + x]);
      }
    }
  }
  return places;
}

// Tables that lead to the places; false if rows, columns and channels do not just add up.
bool Separate(const std::vector<std::uint32_t>& places, const Extents& e, const Value& in,
              Node* gather) {
  const auto row_bytes = static_cast<std::uint32_t>(in.width * in.channels);
  // Of the row, then of the offset in it.
  std::int64_t least[2][2] = {{0, 0}, {0, 0}};  // by table: columns, channels
  const auto part = [&](std::size_t y, std::size_t x, std::size_t c, int field) -> std::int64_t {
    const std::uint32_t place = places[(y * e.width + x) * e.channels + c];
    return field == 0 ? place / row_bytes : place % row_bytes;
  };
  for (int field = 0; field < 2; ++field) {
    const std::int64_t base = part(0, 0, 0, field);
    for (std::size_t x = 0; x < e.width; ++x) {
      least[0][field] = std::min(least[0][field], part(0, x, 0, field) - base);
    }
    for (std::size_t c = 0; c < e.channels; ++c) {
      least[1][field] = std::min(least[1][field], part(0, 0, c, field) - base);
    }
  }
  const auto add = [&](std::vector<format::GatherPlace>* table, std::size_t y, std::size_t x,
                       std::size_t c, int which) {
    std::int64_t place[2];
    for (int field = 0; field < 2; ++field) {
      place[field] = which < 0 ? part(y, 0, 0, field) + least[0][field] + least[1][field]
                               : part(0, x, c, field) - part(0, 0, 0, field) - least[which][field];
      if (place[field] < 0) return false;
    }
    table->push_back({static_cast<std::uint32_t>(place[0]), static_cast<std::uint32_t>(place[1])});
    return true;
  };
  bool good = true;
  for (std::size_t y = 0; y < e.height; ++y) good = good && add(&gather->rows, y, 0, 0, -1);
  for (std::size_t x = 0; x < e.width; ++x) good = good && add(&gather->columns, 0, x, 0, 0);
  for (std::size_t c = 0; c < e.channels; ++c) good = good && add(&gather->channels, 0, 0, c, 1);
  if (!good) return false;
  std::size_t next = 0;
  for (const format::GatherPlace& y : gather->rows) {
    for (const format::GatherPlace& x : gather->columns) {
      for (const format::GatherPlace& c : gather->channels) {
        const std::uint32_t place = places[next++];
        if (y.row + x.row + c.row != place / row_bytes) return false;
        if (y.offset + x.offset + c.offset != place % row_bytes) return false;
      }
    }
  }
  return true;
}

int AddGather(OnnxImporter* importer, const std::string& name, Node gather, int input) {
  gather.name = name;
  gather.inputs = {input};
  gather.output = AddValue(importer, name, static_cast<std::int64_t>(gather.rows.size()),
                           static_cast<std::int64_t>(gather.columns.size()),
                           static_cast<std::int64_t>(gather.channels.size()));
  importer->producers[static_cast<std::size_t>(gather.output)] =
      static_cast<int>(importer->network.nodes.size());
  importer->network.nodes.push_back(std::move(gather));
  return importer->network.nodes.back().output;
}

// The image's elements as a vector first: any order can be taken from memory into channels.
int AddVector(OnnxImporter* importer, const std::string& name,
              const std::vector<std::uint32_t>& places, int input) {
  const Value in = importer->network.values[static_cast<std::size_t>(input)];
  const auto row_bytes = static_cast<std::uint32_t>(in.width * in.channels);
  Node gather{.op = Op::kGather};
  gather.rows = gather.columns = {{0, 0}};
  for (const std::uint32_t place : places) {
    gather.channels.push_back({place / row_bytes, place % row_bytes});
  }
  return AddGather(importer, name, std::move(gather), input);
}

int AddImage(OnnxImporter* importer, const std::string& name, const View& view, const Extents& e,
             int input) {
  std::vector<std::uint32_t> places = ImageOrder(view, e);
  Node gather{.op = Op::kGather};
  if (!Separate(places, e, importer->network.values[static_cast<std::size_t>(input)], &gather)) {
    input = AddVector(importer, name + "/vector", places, input);
    std::iota(places.begin(), places.end(), 0U);
    gather = Node{.op = Op::kGather};
    Separate(places, e, importer->network.values[static_cast<std::size_t>(input)], &gather);
  }
  return AddGather(importer, name + "/moved", std::move(gather), input);
}

// An image, a sequence or a vector of what is seen through `view`.
Activation MakeImage(OnnxImporter* importer, const std::string& name, Activation activation,
                     const View& view) {
  const std::size_t rank = view.dims.size();
  Materialize(importer, &activation);
  Extents extents;
  extents.channels = static_cast<std::size_t>(view.dims[0]);
  if (rank > 1) extents.width = static_cast<std::size_t>(view.dims[rank - 1]);
  if (rank > 2) extents.height = static_cast<std::size_t>(view.dims[1]);
  activation.value = AddImage(importer, name, view, extents, activation.value);
  activation.channels = static_cast<int>(extents.channels);
  activation.height = static_cast<int>(extents.height);
  activation.width = static_cast<int>(extents.width);
  activation.dims = {{Axis::kChannels}};
  if (rank > 2) activation.dims.push_back({Axis::kHeight});
  if (rank > 1) activation.dims.push_back({Axis::kWidth});
  activation.is_shared = false;
  return activation;
}

std::vector<std::int64_t> SizesOf(const Activation& activation) {
  std::vector<std::int64_t> dims;
  for (std::size_t dim = 0; dim < activation.dims.size(); ++dim) {
    dims.push_back(DimSize(activation, dim));
  }
  return dims;
}

}  // namespace

Activation Reshaped(OnnxImporter* importer, const Activation& activation,
                    std::vector<std::int64_t> dims) {
  if (activation.flat_size() > kMostViewed) {
    throw NodeProblem{"splits or mixes axes of " + std::to_string(activation.flat_size()) +
                      " elements, expected at most " + std::to_string(kMostViewed)};
  }
  SpendBytes(importer, sizeof(std::uint32_t) * activation.flat_size());
  Activation reshaped = activation;
  reshaped.dims.assign(dims.size(), {});
  std::vector<std::uint32_t> order =
      activation.view != nullptr ? activation.view->order : OrderOf(activation);
  reshaped.view = std::make_shared<View>(View{std::move(dims), std::move(order)});
  return reshaped;
}

Activation Permuted(const Activation& activation, const std::vector<std::size_t>& order) {
  const View& before = *activation.view;
  std::vector<std::size_t> strides(before.dims.size(), 1);
  for (std::size_t dim = strides.size(); dim-- > 1;) {
    strides[dim - 1] = strides[dim] * static_cast<std::size_t>(before.dims[dim]);
  }
  View view;
  std::vector<std::size_t> sources = {0};
  for (const std::size_t dim : order) {
    view.dims.push_back(before.dims[dim]);
    std::vector<std::size_t> finer;
    for (const std::size_t source : sources) {
      for (std::int64_t i = 0; i < before.dims[dim]; ++i) {
        finer.push_back(source + static_cast<std::size_t>(i) * strides[dim]);
      }
    }
    sources = std::move(finer);
  }
  for (const std::size_t source : sources) view.order.push_back(before.order[source]);
  Activation permuted = activation;
  permuted.view = std::make_shared<View>(std::move(view));
  return permuted;
}

bool KeepsView(const std::string& op) {
  static const std::set<std::string> ops = {"Reshape",   "Transpose", "Flatten", "Squeeze",
                                            "Unsqueeze", "Identity",  "Shape"};
  return ops.contains(op);
}

void ResolveView(OnnxImporter* importer, const std::string& name) {
  const auto found = importer->activations.find(name);
  if (found == importer->activations.end() || found->second.view == nullptr) return;
  Activation activation = found->second;
  const View view = *activation.view;
  activation.view = nullptr;
  // Perhaps nothing has changed: axes were split and joined again.
  activation.dims = {{Axis::kChannels}, {Axis::kHeight}, {Axis::kWidth}};
  if (Regroup(&activation, view.dims) && OrderOf(activation) == view.order) {
    found->second = activation;
    return;
  }
  const std::size_t rank = view.dims.size();
  if (rank > 3) {
    throw NodeProblem{"\"" + name + "\" has " + std::to_string(rank) +
                      " dimensions after the batch, of split or mixed axes; only reshaped to "
                      "three or fewer can it be read"};
  }
  importer->activations[name] = MakeImage(importer, name, activation, view);
}

void Reorder(OnnxImporter* importer, const std::string& name, const Activation& activation) {
  Activation seen = Reshaped(importer, activation, SizesOf(activation));
  const View view = *seen.view;
  seen.view = nullptr;
  importer->activations[name] = MakeImage(importer, name, std::move(seen), view);
}

Activation LastAsChannels(OnnxImporter* importer, const std::string& name,
                          const Activation& activation) {
  std::vector<std::size_t> order = {activation.dims.size() - 1};
  for (std::size_t dim = 0; dim + 1 < activation.dims.size(); ++dim) order.push_back(dim);
  Activation seen = Permuted(Reshaped(importer, activation, SizesOf(activation)), order);
  const View view = *seen.view;
  seen.view = nullptr;
  Activation turned = MakeImage(importer, name, std::move(seen), view);
  std::rotate(turned.dims.begin(), turned.dims.begin() + 1, turned.dims.end());
  return turned;
}

}  // namespace mu8::convert
