// The one implementation of Router.
//
// Private to routing. Immutable after load(): shared by all shards without a lock.
#pragma once

#include "waypost/mail/srs.h"
#include "waypost/routing/router.h"

#include "routing/address_text.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace waypost::routing {

class TableRouter final : public Router {
 public:
  /// REQUIRES: domains in `options` can be normalised (what cannot is skipped).
  /// `unavailable`: why there is no table; empty: there is one.
  TableRouter(Options options, std::shared_ptr<const Table> table, std::string unavailable);

  std::shared_ptr<const Router> with_waves(std::shared_ptr<const Waves> waves) const override;
  const Waves& waves() const override { return *waves_; }
  EntryState state_of(const Entry& entry, WallTime at) const override;
  Decision decide(const mail::Mailbox& address, WallTime at,
                  std::vector<TraceStep>* trace) const override;
  SenderChoice sender_for(const mail::ReversePath& sender, const Decision& decision,
                          WallTime at) const override;
  const Table& table() const override { return *table_; }
  const Options& options() const override { return options_; }
  WallTime loaded_at() const override { return loaded_at_; }

  /// Before the router is shared.
  void use_waves(std::shared_ptr<const Waves> waves) { waves_ = std::move(waves); }
  void use_srs(std::vector<std::string> secrets);
  /// The next hop for a target of this normalised domain; empty: none.
  const std::string& next_hop_for(std::string_view normal_domain) const;
  bool is_own(std::string_view normal_domain) const;

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  /// What a domain means to us; one look-up an address.
  struct Meaning {
    bool own = false;  // or an alias
    std::string alias_of, next_hop;
  };
  struct Question;  // one address on its way through the steps

  std::optional<Entry> look_up(Question& question) const;
  void decide_for_entry(Question& question, Entry entry) const;
  void decide_by_state(Question& question, const Entry& entry) const;
  void decide_without_entry(Question& question) const;
  void decide_target_domain(Question& question) const;
  void decide_own_unknown(Question& question) const;
  void decide_other_domain(Question& question) const;
  Decision decide_returned(const mail::Mailbox& address, WallTime at,
                           std::vector<TraceStep>* trace) const;
  const Meaning* meaning_of(std::string_view normal_domain) const;

  Options options_;
  std::shared_ptr<const Table> table_;
  std::shared_ptr<const Waves> waves_ = std::make_shared<const Waves>();
  std::string unavailable_;
  std::unordered_map<std::string, Meaning, TextHash, std::equal_to<>> meanings_;
  WallTime loaded_at_;
  std::optional<mail::Srs> srs_;
  std::string srs_domain_;  // normalised; empty: no SRS
  std::unordered_set<std::string> srs_own_;
};

/// For reply texts: printable ASCII and UTF-8, never a line break.
std::string printable(std::string_view text);
std::string printable(const mail::Mailbox& address);

}  // namespace waypost::routing
