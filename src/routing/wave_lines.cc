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

/// `body` is one object.
std::string with_seal(std::string body, const std::string& own, const std::string& chain) {
  body.pop_back();
  return body + std::string(kSeal) + own + "-" + chain + "\"}";
}

constexpr std::string_view kMarkSum = ",\"sum\":\"";

std::string counted_commands(std::uint64_t count) {
  return counted(count, "command was", "commands were");
}

}  // namespace

std::string WaveMark::to_json() const {
  json::object object{{"commands", commands}};
  if (!chain.empty()) object["chain"] = chain;
  if (told_until) object["told_until"] = exact_time(*told_until);
  auto text = json::serialize(object);
  const auto sum = sum_of({}, text);
  text.pop_back();
  return text + std::string(kMarkSum) + sum + "\"}";
}

Result<WaveMark> WaveMark::from_json(std::string_view text) {
  boost::system::error_code trouble;
  const auto value = json::parse({text.data(), text.size()}, trouble);
  const auto nonsense = [] { return fail(ErrorKind::corrupt, "it makes no sense"); };
  if (trouble || !value.is_object()) return nonsense();
  // Marks of old versions have no sum.
  if (const auto seal = text.rfind(kMarkSum); seal != std::string_view::npos) {
    const auto sum = text.substr(seal + kMarkSum.size());
    if (sum.substr(0, sum.find('"')) != sum_of({}, std::string(text.substr(0, seal)) + "}"))
      return fail(ErrorKind::corrupt, "it was changed after it was written");
  }
  const auto* commands = value.as_object().if_contains("commands");
  if (commands == nullptr || !commands->is_int64() || commands->as_int64() < 0) return nonsense();
  WaveMark mark;
  mark.commands = static_cast<std::uint64_t>(commands->as_int64());
  if (const auto* chain = value.as_object().if_contains("chain")) {
    if (!chain->is_string()) return nonsense();
    mark.chain = std::string(chain->as_string());
  }
  if (const auto* told = value.as_object().if_contains("told_until")) {
    if (!told->is_string()) return nonsense();
    const auto at = parse_instant({told->as_string().data(), told->as_string().size()});
    if (!at) return nonsense();
    mark.told_until = *at;
  }
  return mark;
}

FoundMark FoundMark::from(const Result<std::optional<std::string>>& text) {
  if (!text) return {true, {}, text.error().message};
  if (!*text) return {};
  auto mark = WaveMark::from_json(**text);
  if (!mark) return {true, {}, (*text)->empty() ? "it is empty" : mark.error().message};
  return {true, std::move(*mark), {}};
}

Result<> WaveLines::take(std::string_view line) {
  line = line.substr(0, line.find_last_not_of(" \t\r") + 1);
  const Sealed parts = unseal(line);
  const auto chain = sum_of(beyond_.value_or(chain_of(commands_.size())), parts.body);
  // Where one line is wrong the next is judged by what this one says of itself. But if none comes,
  // a crash has torn it, and the next command takes its place.
  beyond_ = parts.chain.empty() ? chain : parts.chain;
  const auto own = sum_of({}, parts.body);
  if (!parts.own.empty() && own != parts.own)
    return fail(ErrorKind::corrupt, "the line was changed after it was written");
  auto command = wave_command_from_json(parts.body);
  if (!command) return fail(command.error());
  commands_.push_back(std::move(*command));
  chains_.push_back(*std::exchange(beyond_, std::nullopt));
  if (!parts.chain.empty() && chain != parts.chain) gaps_.push_back(commands_.size());
  last_ = with_seal(parts.body, own, chains_.back());
  (parts.own.empty() ? has_unsealed_ : has_sealed_) = true;
  return {};
}

std::string WaveLines::sealed(const WaveCommand& command) const {
  const auto line = to_json(command);
  return with_seal(line, sum_of({}, line), sum_of(chain_of(commands_.size()), line));
}

std::string WaveLines::chain_of(std::size_t command) const {
  return command == 0 ? std::string() : chains_.at(command - 1);
}

void WaveJournalCheck::defect(std::size_t line, const std::string& why, bool last) {
  const auto text = path_ + ":" + std::to_string(line) + ": " + why;
  if (last)
    torn_ = text;
  else
    damage_.push_back(text);
}

void WaveJournalCheck::finish(bool exists, const WaveLines& lines, const FoundMark& found,
                              bool used_before) {
  for (const auto gap : lines.gaps())
    damage_.push_back(path_ + ": a line before the command number " + std::to_string(gap) +
                      " is missing or was changed");
  if (!found.there)
    finish_without_mark(exists, lines, used_before);
  else if (!found.mark)
    damage_.push_back(path_ + ".mark: " + found.trouble + ": whether " + path_ +
                      " has all that was acknowledged is not known");
  else
    compare(exists, lines, *found.mark);
  // Its command was never acknowledged.
  if (!torn_.empty() && damage_.empty()) remarks_.push_back(torn_ + "; it is left out");
}

/// Every version that seals lines writes a mark before the first of them.
void WaveJournalCheck::finish_without_mark(bool exists, const WaveLines& lines, bool used_before) {
  if (lines.has_sealed())
    damage_.push_back(path_ + ".mark: the file is gone: whether " + path_ +
                      " has all that was acknowledged is not known");
  else if (exists && !lines.has_unsealed())
    damage_.push_back(path_ + ": no command can be read, and there is no " + path_ + ".mark");
  else if (!exists && used_before)
    damage_.push_back(path_ + ": the file is gone, though this spool has been in use; so is " +
                      path_ + ".mark");
}

void WaveJournalCheck::compare(bool exists, const WaveLines& lines, const WaveMark& mark) {
  const std::uint64_t commands = lines.commands().size();
  const auto marked = counted_commands(mark.commands) + " acknowledged";
  if (commands < mark.commands) {
    if (!torn_.empty()) damage_.push_back(torn_);
    damage_.push_back(path_ + ": " + marked + ", " + std::to_string(commands) + " can be read" +
                      (exists ? "" : ": the file is gone"));
  } else if (!mark.chain.empty() && lines.chain_of(mark.commands) != mark.chain) {
    damage_.push_back(path_ + ": " + marked + ", but others than stand there");
  } else if (commands > mark.commands + 1) {
    // A crash leaves one command at most behind the last that the mark knows.
    damage_.push_back(path_ + ".mark: it is older than " + path_ + ": " + marked + ", " +
                      std::to_string(commands) + " can be read");
  }
}

}  // namespace waypost::routing
