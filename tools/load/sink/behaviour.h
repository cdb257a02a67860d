// What the stand-in is told to do wrong, at which stage of a conversation, and how often.
//
// A rule is one line of text: "at=rcpt;match=bob@*;reply=451 4.3.0 Try again;times=3" (grammar in
// kRuleHelp). Behaviour: one per process, any thread; rules are replaced as a whole at run time and
// each keeps its own count. look() costs one relaxed load while there is no rule.
#pragma once

#include "waypost/base/result.h"
#include "waypost/smtp/reply.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waypost::sink {

enum class Stage : std::uint8_t {
  connect,
  helo,
  ehlo,
  starttls,
  auth,
  mail,
  rcpt,
  data,     // DATA or the first BDAT
  content,  // each read inside the content
  end,      // the verdict
  rset,
  noop,
  quit,
};

/// What to do at a stage instead of, or before, behaving well.
struct Misdeed {
  std::chrono::milliseconds delay{};
  std::optional<smtp::Reply> reply;
  std::string raw;                 // sent as it is, in place of the reply
  bool drop = false;               // close without a reply
  bool keep = false;               // with drop or raw at `end`: the message counts as received
  std::uint64_t after_octets = 0;  // content: only when this much has arrived
};

extern const char* const kRuleHelp;

class Behaviour {
 public:
  /// ErrorKind::invalid names the word that is not understood. Nothing changes then.
  Result<> replace(const std::vector<std::string>& rules);
  Result<> add(const std::string& rule);
  /// Takes away the last rule of exactly this text; nothing if there is none.
  void remove(const std::string& rule);
  void clear();
  /// The misdeed for this event, if a rule wants one. `subjects`: addresses or a host name, of
  /// which a rule must match one.
  std::optional<Misdeed> look(Stage stage, std::span<const std::string> subjects,
                              std::uint64_t octets = 0);
  bool any() const { return any_.load(std::memory_order_acquire); }
  /// "rule: seen 7, done 3" for each rule.
  std::string report() const;

 private:
  struct Rule;
  using Rules = std::vector<std::shared_ptr<Rule>>;
  std::shared_ptr<const Rules> rules() const;
  mutable std::mutex mutex_;
  std::shared_ptr<const Rules> rules_;
  std::atomic<bool> any_{false};
};

/// '*' stands for any text, '?' for one octet; ASCII letters compare without case.
bool glob_matches(std::string_view pattern, std::string_view text);

}  // namespace waypost::sink
