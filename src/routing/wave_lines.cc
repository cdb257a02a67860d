#include "routing/wave_lines.h"

#include "waypost/base/counted.h"

#include "routing/instant.h"

#include <boost/json.hpp>
#include <openssl/sha.h>

#include <array>
#include <utility>

namespace waypost::routing {
namespace json = boost::json;
namespace {

constexpr std::size_t kSumDigits = 8;  // of each half
constexpr std::string_view kSeal = ",\"sum\":\"";
constexpr std::size_t kSealOctets = kSeal.size() + 2 * kSumDigits + 1 + 2;

std::string sum_of(std::string_view before, std::string_view text) {
  std::string all(before);
  all += text;
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(all.data()), all.size(), digest.data());
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < kSumDigits / 2; ++i) {
    out += kDigits[digest[i] >> 4];
    out += kDigits[digest[i] & 15];
  }
  return out;
}

/// A line in its parts.
struct Sealed {
  std::string body;        // the object without its seal
  std::string own, chain;  // empty: an old line
};

Sealed unseal(std::string_view line) {
  if (line.size() > kSealOctets && line.ends_with("\"}")) {
    const auto seal = line.substr(line.size() - kSealOctets);
    if (seal.starts_with(kSeal) && seal[kSeal.size() + kSumDigits] == '-')
      return {std::string(line.substr(0, line.size() - kSealOctets)) + "}",
              std::string(seal.substr(kSeal.size(), kSumDigits)),
              std::string(seal.substr(kSeal.size() + kSumDigits + 1, kSumDigits))};
  }
  return {std::string(line), {}, {}};
}

}  // namespace

std::string WaveMark::to_json() const {
  json::object object{{"commands", commands}};
  if (told_until) object["told_until"] = exact_time(*told_until);
  return json::serialize(object);
}

Result<WaveMark> WaveMark::from_json(std::string_view text) {
  boost::system::error_code trouble;
  const auto value = json::parse({text.data(), text.size()}, trouble);
  const auto nonsense = [] { return fail(ErrorKind::corrupt, "it makes no sense"); };
  if (trouble || !value.is_object()) return nonsense();
  const auto* commands = value.as_object().if_contains("commands");
  if (commands == nullptr || !commands->is_int64() || commands->as_int64() < 0) return nonsense();
  WaveMark mark{static_cast<std::uint64_t>(commands->as_int64()), {}};
  if (const auto* told = value.as_object().if_contains("told_until")) {
    if (!told->is_string()) return nonsense();
    const auto at = parse_instant({told->as_string().data(), told->as_string().size()});
    if (!at) return nonsense();
    mark.told_until = *at;
  }
  return mark;
}

Result<> WaveLines::take(std::string_view line) {
  line = line.substr(0, line.find_last_not_of(" \t\r") + 1);
  const Sealed parts = unseal(line);
  const auto chain = sum_of(beyond_.value_or(chain_), parts.body);
  // Where one line is wrong the next is judged by what this one says of itself. But if none comes,
  // a crash has torn it, and the next command takes its place.
  beyond_ = parts.chain.empty() ? chain : parts.chain;
  if (!parts.own.empty() && sum_of({}, parts.body) != parts.own)
    return fail(ErrorKind::corrupt, "the line was changed after it was written");
  auto command = wave_command_from_json(parts.body);
  if (!command) return fail(command.error());
  commands_.push_back(std::move(*command));
  chain_ = *std::exchange(beyond_, std::nullopt);
  if (!parts.chain.empty() && chain != parts.chain) gaps_.push_back(commands_.size());
  return {};
}

std::string WaveLines::sealed(const WaveCommand& command) const {
  auto line = to_json(command);
  const auto seal = std::string(kSeal) + sum_of({}, line) + "-" + sum_of(chain_, line) + "\"}";
  line.pop_back();
  return line + seal;
}

void WaveJournalCheck::defect(std::size_t line, const std::string& why, bool last) {
  const auto text = path_ + ":" + std::to_string(line) + ": " + why;
  if (last)
    torn_ = text;
  else
    damage_.push_back(text);
}

void WaveJournalCheck::finish(bool exists, const WaveLines& lines,
                              const std::optional<WaveMark>& mark, bool used_before) {
  const std::uint64_t commands = lines.commands().size();
  for (const auto gap : lines.gaps())
    damage_.push_back(path_ + ": a line before the command number " + std::to_string(gap) +
                      " is missing or was changed");
  if (mark && commands < mark->commands) {
    if (!torn_.empty()) damage_.push_back(torn_);
    damage_.push_back(path_ + ": " + counted(mark->commands, "command was", "commands were") +
                      " acknowledged, " + std::to_string(commands) + " can be read" +
                      (exists ? "" : ": the file is gone"));
  } else if (!torn_.empty()) {
    // Its command was never acknowledged.
    remarks_.push_back(torn_ + "; it is left out");
  }
  if (!exists && !mark && used_before)
    damage_.push_back(path_ + ": the file is gone, though this spool has been in use");
}

}  // namespace waypost::routing
