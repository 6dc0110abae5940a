// The parameters that are integers: widths, shifts, tables, codes of means, places of a gather
// (FORMAT.md, 5.10 and 6).
#include "formats/check_weights.h"

namespace mu8::format {
namespace {

constexpr std::uint64_t kBlock = 64;  // codes

// No entry is -128, and those that no code names are 0.
bool CheckMuTable(const CheckedLayer& layer, const MuCursor& mu, Checker* check) {
  const std::uint32_t used = mu.bits() <= kMostTableBits ? 1U << mu.bits() : 0;
  const std::uint64_t table = layer.at + layer.layout.mu_table + kMuTableEntries * mu.panel();
  const std::uint8_t* const entries = check->Parameters(Walk::kTables, table, kMuTableEntries);
  if (entries == nullptr) return false;
  for (std::uint32_t i = 0; i < kMuTableEntries; ++i) {
    const std::uint8_t entry = entries[i];
    if (entry == 0x80 || (i >= used && entry != 0)) {
      return check->Fail(Status::kMuRange, table + i, entry, i < used ? 0x81 : 0);
    }
  }
  return true;
}

// The codes of one panel's means; of 8 bits they are the bytes themselves. Some whole blocks of
// them are at hand at a time.
class PanelCodes {
 public:
  PanelCodes(const CheckedLayer& layer, const MuCursor& cursor)
      : at_(layer.at + layer.layout.mu + cursor.offset()), bits_(cursor.bits()) {}

  // Brings the blocks of codes [i, end), or as many of them as there is room for; i is a multiple
  // of 64. Returns the end of those that are there; 0 after Fail.
  std::uint64_t Bring(std::uint64_t i, std::uint64_t end, Checker* check) {
    const std::uint64_t block_bytes = 8 * bits_;
    if (check->is_streamed()) {
      const std::uint64_t most = check->stream->Room(Walk::kCodes) / block_bytes * kBlock;
      if (end - i > most) end = i + most;
    }
    first_ = i;
    mu_ = check->Parameters(Walk::kCodes, at_ + Block(i), (end - i) / kBlock * block_bytes);
    return mu_ == nullptr ? 0 : end;
  }
  std::uint32_t code(std::uint64_t i) const {
    const std::uint64_t from = i - first_;
    return bits_ == 8 ? mu_[from]
                      : MuCode(mu_ + Block(from), bits_, static_cast<std::uint32_t>(from % kBlock));
  }
  // File offset of the byte with the highest bits of code i.
  std::uint64_t place(std::uint64_t i) const {
    return at_ + (bits_ == 8 ? i : Block(i) + CodeByte(BitFloor(bits_), i % kBlock));
  }

 private:
  std::uint64_t Block(std::uint64_t i) const { return i / kBlock * 8 * bits_; }

  const std::uint8_t* mu_ = nullptr;
  std::uint64_t at_;  // file offset of mu
  std::uint64_t first_ = 0;
  std::uint32_t bits_;
};

// The largest row and the largest byte of a row that `count` places of a gather have.
bool FindLargest(std::uint64_t at, std::uint32_t count, GatherPlace* largest, Checker* check) {
  *largest = {0, 0};
  for (std::uint32_t i = 0; i < count; ++i, at += sizeof(GatherPlace)) {
    GatherPlace place;
    if (!check->Load(Walk::kCodes, at, &place)) return false;
    if (place.row == kOutside) continue;
    if (place.row > largest->row) largest->row = place.row;
    if (place.offset > largest->offset) largest->offset = place.offset;
  }
  return true;
}

}  // namespace

bool TakeMuBits(const CheckedLayer& layer, MuCursor* mu, Checker* check) {
  if (layer.record.mu_bits != kMuBitsByPanel) return true;
  const std::uint64_t at = layer.at + layer.layout.panel_bits + mu->panel();
  std::uint8_t bits;
  if (!check->Load(Walk::kBits, at, &bits)) return false;
  if (bits < 1 || bits > kMaxMuBits) {
    return check->Fail(Status::kBitWidth, at, bits, bits < 1 ? 1 : kMaxMuBits);
  }
  mu->Take(bits);
  return true;
}

bool CheckPanelBits(const CheckedLayer& layer, Checker* check) {
  if (layer.record.mu_bits != kMuBitsByPanel) return true;
  MuCursor mu(layer.record, layer.panels);
  for (; mu.panel() < layer.panels.panel_count(); mu.Next()) {
    if (!TakeMuBits(layer, &mu, check)) return false;
  }
  if (mu.offset() != layer.record.mu_bytes) {
    return check->FailLayer(Status::kParameterLayout, offsetof(LayerRecord, mu_bytes),
                            layer.record.mu_bytes, mu.offset());
  }
  return true;
}

bool CheckShifts(const CheckedLayer& layer, Checker* check) {
  const std::uint64_t begin = layer.at + layer.layout.bias_shift;
  const std::uint64_t end = layer.at + layer.layout.codebook;
  for (std::uint64_t at = begin; at < end; ++at) {
    std::uint8_t shift;
    if (!check->Load(Walk::kShifts, at, &shift)) return false;
    if (shift < kMinNoiseShift || shift > kMaxNoiseShift) {
      return check->Fail(Status::kShift, at, shift,
                         shift < kMinNoiseShift ? kMinNoiseShift : kMaxNoiseShift);
    }
  }
  return true;
}

bool CheckMeans(const CheckedLayer& layer, const MuCursor& mu, Checker* check) {
  const std::uint32_t mu_bits = layer.record.mu_bits;
  const bool has_tables = mu_bits == kMuBitsByPanel || mu_bits <= kMostTableBits;
  if (has_tables && !CheckMuTable(layer, mu, check)) return false;
  if (mu.bits() <= kMostTableBits) return true;
  PanelCodes codes(layer, mu);
  const std::uint32_t lowest = 1U << (mu.bits() - 1);
  const std::uint64_t end = layer.panels.panel_bytes(mu.panel());
  // At most `end` times: what is there ends behind i.
  for (std::uint64_t i = 0; i < end;) {
    const std::uint64_t there = codes.Bring(i, end, check);
    if (there == 0) return false;
    for (; i < there; ++i) {
      if (codes.code(i) == lowest) {
        return check->Fail(Status::kMuRange, codes.place(i), lowest, lowest + 1);
      }
    }
  }
  return true;
}

bool CheckPadding(const CheckedLayer& layer, const MuCursor& mu, Checker* check) {
  const std::uint32_t padding = layer.panels.padded_run - layer.panels.run_length;
  if (padding == 0) return true;
  PanelCodes codes(layer, mu);
  // A group of 4 inputs lies in one block.
  const std::uint64_t group_bytes = std::uint64_t{layer.panels.width(mu.panel())} * 4;
  const std::uint32_t run_groups = layer.panels.padded_run / 4;
  for (std::uint32_t run = 0; run < layer.panels.runs; ++run) {
    const std::uint64_t group = (std::uint64_t{run} * run_groups + run_groups - 1) * group_bytes;
    const std::uint64_t block = group / kBlock * kBlock;
    if (codes.Bring(block, block + kBlock, check) == 0) return false;
    for (std::uint64_t i = group; i < group + group_bytes; ++i) {
      if (i % 4 < 4 - padding) continue;
      if (codes.code(i) != 0) {
        return check->Fail(Status::kPaddingWeight, codes.place(i), codes.code(i), 0);
      }
    }
  }
  return true;
}

// Rows, columns and channels are independent, so that their largest places meet in one value.
bool CheckGather(const LayerRecord& record, std::uint64_t at, Checker* check) {
  const TensorRecord input = check->view.tensor(record.input);
  const TensorRecord output = check->view.tensor(record.output);
  std::uint64_t row = 0;
  std::uint64_t offset = 0;
  std::uint64_t table = at;
  for (const std::uint32_t count : {output.height, output.width, output.channels}) {
    GatherPlace largest;
    if (!FindLargest(table, count, &largest, check)) return false;
    row += largest.row;
    offset += largest.offset;
    table += count * sizeof(GatherPlace);
  }
  if (row >= input.height) return check->Fail(Status::kGatherPlace, at, row, input.height - 1);
  const std::uint64_t row_bytes = std::uint64_t{input.width} * input.channels;
  if (offset >= row_bytes) {
    return check->Fail(Status::kGatherPlace, at + offsetof(GatherPlace, offset), offset,
                       row_bytes - 1);
  }
  return true;
}

}  // namespace mu8::format
