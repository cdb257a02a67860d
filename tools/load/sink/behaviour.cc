#include "sink/behaviour.h"

#include "waypost/mail/address.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

namespace waypost::sink {

const char* const kRuleHelp =
    "A rule is KEY=VALUE pairs joined by ';':\n"
    "  at=STAGE        connect helo ehlo starttls auth mail rcpt data content end rset noop quit\n"
    "  match=GLOB      rcpt: the recipient; mail: the sender; data, content, end: any recipient;\n"
    "                  connect, helo, ehlo: client address or name\n"
    "  reply=TEXT      '451 4.3.0 Try again'; 421 also closes\n"
    "  raw=TEXT        sent as it is, with \\r \\n \\t \\0 \\\\ understood\n"
    "  overlong=N      a reply line of N octets\n"
    "  drop            close without a word\n"
    "  keep            with drop or raw at end: the message counts as received all the same\n"
    "  delay=MS        wait first (at content: before each further read)\n"
    "  after=OCTETS    content: when this much has arrived\n"
    "  skip=N times=N  leave the first N events alone; then do it N times\n"
    "Example: at=rcpt;match=bob@*;reply=454 4.7.0 Throttling failure;times=3\n";

namespace {

constexpr std::array<std::pair<std::string_view, Stage>, 13> kStages = {{
    {"connect", Stage::connect},
    {"helo", Stage::helo},
    {"ehlo", Stage::ehlo},
    {"starttls", Stage::starttls},
    {"auth", Stage::auth},
    {"mail", Stage::mail},
    {"rcpt", Stage::rcpt},
    {"data", Stage::data},
    {"content", Stage::content},
    {"end", Stage::end},
    {"rset", Stage::rset},
    {"noop", Stage::noop},
    {"quit", Stage::quit},
}};

std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    switch (text[++i]) {
      case 'r':
        out += '\r';
        break;
      case 'n':
        out += '\n';
        break;
      case 't':
        out += '\t';
        break;
      case '0':
        out += '\0';
        break;
      default:
        out += text[i];
    }
  }
  return out;
}

Result<std::uint64_t> parse_number(std::string_view key, std::string_view value) {
  std::uint64_t number = 0;
  const auto end = value.data() + value.size();
  const auto parsed = std::from_chars(value.data(), end, number);
  if (parsed.ec != std::errc{} || parsed.ptr != end) {
    return fail(ErrorKind::invalid,
                std::string(key) + "=" + std::string(value) + " is not a whole number");
  }
  return number;
}

Result<smtp::Reply> parse_reply(std::string_view text) {
  smtp::Reply reply;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), reply.code);
  if (parsed.ec != std::errc{} || reply.code < 200 || reply.code > 599) {
    return fail(ErrorKind::invalid,
                "reply=" + std::string(text) + " does not begin with a code from 200 to 599");
  }
  text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
  while (text.starts_with(' ')) text.remove_prefix(1);
  if (const auto status = mail::EnhancedStatus::parse_prefix(text)) reply.status = *status;
  reply.text = std::string(text);
  return reply;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

}  // namespace

struct Behaviour::Rule {
  std::string text;
  Stage at = Stage::connect;
  std::string match;
  Misdeed misdeed;
  std::uint64_t skip = 0;
  std::uint64_t times = std::numeric_limits<std::uint64_t>::max();
  std::atomic<std::uint64_t> seen{0}, done{0};

  static Result<std::shared_ptr<Rule>> parse(const std::string& text);
  Result<> set(std::string_view key, std::string_view value);
  /// Counts the event; true if it is this rule's turn.
  bool takes();
};

Result<> Behaviour::Rule::set(std::string_view key, std::string_view value) {
  if (key == "at") {
    for (const auto& [name, stage] : kStages) {
      if (name == value) {
        at = stage;
        return {};
      }
    }
    return fail(ErrorKind::invalid, "at=" + std::string(value) + " is not a known stage");
  }
  if (key == "match") return match = std::string(value), Result<>{};
  if (key == "raw") return misdeed.raw = unescape(value), Result<>{};
  if (key == "drop") return misdeed.drop = true, Result<>{};
  if (key == "keep") return misdeed.keep = true, Result<>{};
  if (key == "reply") {
    auto reply = parse_reply(value);
    if (!reply) return fail(std::move(reply).error());
    misdeed.reply = std::move(*reply);
    return {};
  }
  const bool numeric =
      key == "overlong" || key == "delay" || key == "after" || key == "skip" || key == "times";
  if (!numeric) return fail(ErrorKind::invalid, "unknown word '" + std::string(key) + "'");
  const auto number = parse_number(key, value);
  if (!number) return fail(number.error());
  if (key == "overlong") misdeed.raw = "250 " + std::string(*number, 'x') + "\r\n";
  if (key == "delay") misdeed.delay = std::chrono::milliseconds(*number);
  if (key == "after") misdeed.after_octets = *number;
  if (key == "skip") skip = *number;
  if (key == "times") times = *number;
  return {};
}

Result<std::shared_ptr<Behaviour::Rule>> Behaviour::Rule::parse(const std::string& text) {
  auto rule = std::make_shared<Rule>();
  rule->text = text;
  std::string_view rest(text);
  bool staged = false;
  while (!rest.empty()) {
    const auto cut = rest.find(';');
    const std::string_view word = rest.substr(0, cut);
    rest.remove_prefix(cut == std::string_view::npos ? rest.size() : cut + 1);
    if (word.empty()) continue;
    const auto equals = word.find('=');
    const std::string_view key = word.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : word.substr(equals + 1);
    if (auto known = rule->set(key, value); !known) {
      return fail(ErrorKind::invalid, "rule '" + text + "': " + known.error().message);
    }
    staged = staged || key == "at";
  }
  if (!staged) return fail(ErrorKind::invalid, "rule '" + text + "' says no at=STAGE");
  return rule;
}

bool Behaviour::Rule::takes() {
  const std::uint64_t n = seen.fetch_add(1, std::memory_order_relaxed);
  if (n < skip || n - skip >= times) return false;
  done.fetch_add(1, std::memory_order_relaxed);
  return true;
}

std::shared_ptr<const Behaviour::Rules> Behaviour::rules() const {
  const std::lock_guard lock(mutex_);
  return rules_;
}

Result<> Behaviour::replace(const std::vector<std::string>& texts) {
  auto fresh = std::make_shared<Rules>();
  for (const auto& text : texts) {
    auto rule = Rule::parse(text);
    if (!rule) return fail(std::move(rule).error());
    fresh->push_back(std::move(*rule));
  }
  const std::lock_guard lock(mutex_);
  any_.store(!fresh->empty(), std::memory_order_release);
  rules_ = std::move(fresh);
  return {};
}

Result<> Behaviour::add(const std::string& text) {
  auto rule = Rule::parse(text);
  if (!rule) return fail(std::move(rule).error());
  const std::lock_guard lock(mutex_);
  auto fresh = rules_ ? std::make_shared<Rules>(*rules_) : std::make_shared<Rules>();
  fresh->push_back(std::move(*rule));
  rules_ = std::move(fresh);
  any_.store(true, std::memory_order_release);
  return {};
}

void Behaviour::remove(const std::string& text) {
  const std::lock_guard lock(mutex_);
  if (!rules_) return;
  auto fresh = std::make_shared<Rules>(*rules_);
  for (auto at = fresh->end(); at != fresh->begin();) {
    if ((*--at)->text != text) continue;
    fresh->erase(at);
    break;
  }
  any_.store(!fresh->empty(), std::memory_order_release);
  rules_ = std::move(fresh);
}

void Behaviour::clear() {
  const std::lock_guard lock(mutex_);
  rules_.reset();
  any_.store(false, std::memory_order_release);
}

std::optional<Misdeed> Behaviour::look(Stage stage, std::span<const std::string> subjects,
                                       std::uint64_t octets) {
  const auto now = any() ? rules() : nullptr;
  if (!now) return std::nullopt;
  for (const auto& rule : *now) {
    if (rule->at != stage || octets < rule->misdeed.after_octets) continue;
    const bool matches =
        rule->match.empty() || std::any_of(subjects.begin(), subjects.end(), [&](const auto& one) {
          return glob_matches(rule->match, one);
        });
    if (matches && rule->takes()) return rule->misdeed;
  }
  return std::nullopt;
}

std::string Behaviour::report() const {
  std::string out;
  const auto now = rules();
  if (!now) return out;
  for (const auto& rule : *now) {
    out += rule->text + ": seen " + std::to_string(rule->seen.load()) + ", done " +
           std::to_string(rule->done.load()) + "\n";
  }
  return out;
}

bool glob_matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || lower(pattern[p]) == lower(text[t]))) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace waypost::sink
