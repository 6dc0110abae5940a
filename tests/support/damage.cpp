#include "tests/support/damage.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "formats/crc32c.h"
#include "formats/layout.h"

namespace mu8::testing {
namespace {

template <typename Record>
Record Load(std::span<const std::byte> file, std::size_t offset) {
  Record record;
  std::memcpy(&record, file.data() + offset, sizeof(Record));
  return record;
}

template <typename T>
void Append(std::span<const T> values, std::vector<std::byte>* out) {
  const auto bytes = std::as_bytes(values);
  out->insert(out->end(), bytes.begin(), bytes.end());
}

}  // namespace

void RepairDamaged(std::span<std::byte> file) {
  if (file.size() < sizeof(format::FileHeader)) return;
  auto header = Load<format::FileHeader>(file, 0);
  const std::size_t room =
      (file.size() - sizeof(format::FileHeader)) / sizeof(format::SectionRecord);
  const std::size_t count = std::min<std::size_t>(header.section_count, room);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = sizeof(format::FileHeader) + i * sizeof(format::SectionRecord);
    auto section = Load<format::SectionRecord>(file, at);
    if (section.offset > file.size() || section.bytes > file.size() - section.offset) continue;
    section.crc = format::Crc32c(file.data() + section.offset, section.bytes);
    std::memcpy(file.data() + at, &section, sizeof(section));
  }
  const std::uint32_t crc = format::Crc32c(file.data(), offsetof(format::FileHeader, header_crc));
  header.header_crc = format::Crc32c(file.data() + sizeof(format::FileHeader),
                                     count * sizeof(format::SectionRecord), crc);
  std::memcpy(file.data(), &header, sizeof(header));
}

Outcome Sandbox::Run(std::span<const std::byte> file) {
  Outcome outcome;
  std::byte* copy = file_.Last(file.size());
  if (!file.empty()) std::memcpy(copy, file.data(), file.size());
  Model model;
  outcome.status = Model::Open({copy, file.size()}, &model, &outcome.diagnostic);
  if (outcome.status != Status::kOk) return outcome;
  Predict(model, {.mc_samples = 2, .keep_logits = true}, &outcome);
  if (outcome.ran && model.has_moments()) {
    Outcome by_moments;
    Predict(model, {.method = Method::kMoments}, &by_moments);
    if (by_moments.status != Status::kOk) std::abort();
  }
  return outcome;
}

Outcome Sandbox::RunStreamed(std::span<const std::byte> file) {
  Outcome outcome;
  std::span<const std::byte> from = file;
  const Source source{&from, file.size(),
                      [](void* context, std::uint64_t offset, void* to, std::size_t bytes) {
                        const auto& all = *static_cast<std::span<const std::byte>*>(context);
                        if (offset > all.size() || bytes > all.size() - offset) std::abort();
                        std::memcpy(to, all.data() + offset, bytes);
                        return true;
                      }};
  std::byte scratch[640];
  Model model;
  outcome.status = Model::OpenStreamed(source, {file_.Last(file.size()), file.size()}, scratch,
                                       &model, &outcome.diagnostic);
  if (outcome.status == Status::kOk) {
    Predict(model, {.mc_samples = 2, .keep_logits = true}, &outcome);
  }
  return outcome;
}

void Sandbox::Predict(const Model& model, const SessionOptions& options, Outcome* result) {
  Outcome& outcome = *result;
  const std::size_t arena_bytes = ArenaBytes(model, options);
  if (arena_bytes > kMaxBytes) return;
  Session session;
  std::byte* arena = arena_.Last(arena_bytes);
  outcome.status = Session::Create(model, options, {arena, arena_bytes}, &session);
  if (outcome.status != Status::kOk) return;
  std::vector<std::uint8_t> image(model.input_size());
  for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<std::uint8_t>(i * 37);
  const std::vector<float> numbers(image.begin(), image.end());
  Prediction prediction;
  outcome.status = model.input_kind() == InputKind::kPixels
                       ? session.Predict(image, {&prediction, 1})
                       : session.Predict(std::span<const float>(numbers), {&prediction, 1});
  if (outcome.status != Status::kOk) return;
  outcome.ran = true;
  Append(prediction.mean, &outcome.predictions);
  Append(prediction.variance, &outcome.predictions);
  Append(prediction.logits, &outcome.predictions);
}

}  // namespace mu8::testing
