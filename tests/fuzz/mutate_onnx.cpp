// Mutations of ONNX models as messages: a field is set, cleared, doubled, moved or copied from
// another place, and the model is written again. A share is left to libFuzzer, which changes bytes.
#include <google/protobuf/message.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/random.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace mu8::fuzz {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using testing::Random;

constexpr std::size_t kMostText = 4096;

// Every message below one, itself first.
void Collect(Message* message, std::vector<Message*>* all) {
  all->push_back(message);
  const Reflection* const reflection = message->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(*message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      Collect(reflection->MutableMessage(message, field), all);
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(*message, field); ++i) {
      Collect(reflection->MutableRepeatedMessage(message, field, i), all);
    }
  }
}

template <typename Message>
auto* Pick(const std::vector<Message*>& all, Random* random) {
  return all[random->Next() % all.size()];
}

std::string MutatedText(std::string text) {
  const std::size_t size = text.size();
  text.resize(std::max(size, std::min(size + 64, kMostText)));
  text.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(text.data()), size, text.size()));
  return text;
}

std::int64_t MutatedNumber(std::int64_t old, Random* random) {
  switch (random->Below(4)) {
    case 0:
      return random->Between(-2, 8);
    case 1:
      return static_cast<std::int64_t>(std::uint64_t{1} << random->Below(64));
    case 2:
      return static_cast<std::int64_t>(static_cast<std::uint64_t>(old) +
                                       static_cast<std::uint64_t>(random->Between(-2, 2)));
    default:
      return static_cast<std::int64_t>(random->Next() >> random->Below(64));
  }
}

// A text of the model that names something: so edges and names of initializers meet.
std::string AnyText(const std::vector<Message*>& all, Random* random) {
  for (int tries = 8; tries > 0; --tries) {
    const Message& message = *Pick(all, random);
    const Reflection* const reflection = message.GetReflection();
    std::vector<const FieldDescriptor*> fields;
    reflection->ListFields(message, &fields);
    if (fields.empty()) continue;
    const FieldDescriptor* const field = Pick(fields, random);
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_STRING) continue;
    if (!field->is_repeated()) return reflection->GetString(message, field);
    const auto count = static_cast<std::uint32_t>(reflection->FieldSize(message, field));
    return reflection->GetRepeatedString(message, field, static_cast<int>(random->Below(count)));
  }
  return "x";
}

// Sets a field, or element `i` of a repeated one (-1: a new one).
void Set(Message* message, const FieldDescriptor* field, int i, const std::vector<Message*>& all,
         Random* random) {
  const Reflection* const reflection = message->GetReflection();
  const bool repeated = field->is_repeated();
  const auto set = [&](auto value, auto one, auto element, auto add) {
    if (!repeated) {
      (reflection->*one)(message, field, value);
    } else if (i >= 0) {
      (reflection->*element)(message, field, i, value);
    } else {
      (reflection->*add)(message, field, value);
    }
  };
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return set(static_cast<std::int32_t>(MutatedNumber(1, random)), &Reflection::SetInt32,
                 &Reflection::SetRepeatedInt32, &Reflection::AddInt32);
    case FieldDescriptor::CPPTYPE_INT64: {
      const std::int64_t old = !repeated ? reflection->GetInt64(*message, field)
                               : i >= 0  ? reflection->GetRepeatedInt64(*message, field, i)
                                         : 1;
      return set(MutatedNumber(old, random), &Reflection::SetInt64, &Reflection::SetRepeatedInt64,
                 &Reflection::AddInt64);
    }
    case FieldDescriptor::CPPTYPE_UINT64:
      return set(static_cast<std::uint64_t>(MutatedNumber(1, random)), &Reflection::SetUInt64,
                 &Reflection::SetRepeatedUInt64, &Reflection::AddUInt64);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return set(random->OneOf<float>({0, 1, -1, 0.5F, 1e-38F, 3e38F, 1e-45F, 1.0F / 0.0F}),
                 &Reflection::SetFloat, &Reflection::SetRepeatedFloat, &Reflection::AddFloat);
    case FieldDescriptor::CPPTYPE_ENUM:
      return set(random->Between(0, 17), &Reflection::SetEnumValue,
                 &Reflection::SetRepeatedEnumValue, &Reflection::AddEnumValue);
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string old = !repeated ? reflection->GetString(*message, field)
                              : i >= 0  ? reflection->GetRepeatedString(*message, field, i)
                                        : std::string("x");
      return set(random->OneIn(2) ? AnyText(all, random) : MutatedText(old), &Reflection::SetString,
                 &Reflection::SetRepeatedString, &Reflection::AddString);
    }
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      // A copy of any message of this type, made first: a member of a oneof takes the place of
      // another, which may be what is copied.
      std::vector<Message*> alike;
      for (Message* other : all) {
        if (other->GetDescriptor() == field->message_type()) alike.push_back(other);
      }
      if (alike.empty()) return;
      const Message& from = *Pick(alike, random);
      const std::unique_ptr<Message> copy(from.New());
      copy->CopyFrom(from);
      Message* const to = !repeated ? reflection->MutableMessage(message, field)
                          : i >= 0  ? reflection->MutableRepeatedMessage(message, field, i)
                                    : reflection->AddMessage(message, field);
      to->CopyFrom(*copy);
      return;
    }
    default:
      return;
  }
}

void MutateMessage(Message* root, Random* random) {
  std::vector<Message*> all;
  Collect(root, &all);
  Message* const message = Pick(all, random);
  const Reflection* const reflection = message->GetReflection();
  const auto* const descriptor = message->GetDescriptor();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(*message, &fields);
  if (fields.empty() || random->OneIn(8)) {  // one that may not be there yet
    const auto count = static_cast<std::uint32_t>(descriptor->field_count());
    if (count == 0) return;
    return Set(message, descriptor->field(static_cast<int>(random->Below(count))), -1, all, random);
  }
  const FieldDescriptor* const field = Pick(fields, random);
  if (random->OneIn(12)) return reflection->ClearField(message, field);
  if (!field->is_repeated()) return Set(message, field, -1, all, random);
  const int count = reflection->FieldSize(*message, field);
  const int i = random->Between(0, count - 1);
  switch (random->Below(6)) {
    case 0:
      return reflection->RemoveLast(message, field);
    case 1:
      return reflection->SwapElements(message, field, i, random->Between(0, count - 1));
    case 2:
      return Set(message, field, -1, all, random);
    default:
      return Set(message, field, i, all, random);
  }
}

}  // namespace
}  // namespace mu8::fuzz

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  mu8::testing::Random random(seed);
  onnx::ModelProto model;
  if (random.OneIn(16) || !model.ParseFromArray(data, static_cast<int>(size))) {
    return LLVMFuzzerMutate(data, size, most);
  }
  for (int n = random.Between(1, 3); n > 0; --n) mu8::fuzz::MutateMessage(&model, &random);
  const std::size_t bytes = model.ByteSizeLong();
  if (bytes == 0 || bytes > most) return LLVMFuzzerMutate(data, size, most);
  model.SerializeToArray(data, static_cast<int>(bytes));
  return bytes;
}
