// What holds for an entry at a time, and what that means for its mail.
#include "routing/router_impl.h"

#include <utility>

namespace waypost::routing {
namespace {

std::string quoted(std::string_view text) { return "'" + printable(text) + "'"; }

std::string words(EntryState state) { return std::string(to_string(state)); }

/// "migrating since 2026-12-01T02:00:00Z, said by root (uid 0)".
std::string describe_change(const WaveChange& change) {
  auto text = words(change.to);
  if (change.at == kBeginningOfTime)
    text += " from the beginning";
  else
    text += " since " + format_time(change.at);
  text += ", said by " + printable(change.by);
  if (!change.reason.empty()) text += " (" + printable(change.reason) + ")";
  return text;
}

std::string describe_word(const Waves::Word& said, bool follows) {
  const auto& word = said.second;
  auto text = words(word.state) +
              (follows ? ": said of the same person (" + printable(said.first) + ") by "
                       : std::string(": said of this person alone by ")) +
              printable(word.by) + " at " + format_time(word.said_at);
  if (!word.reason.empty()) text += " (" + printable(word.reason) + ")";
  return text;
}

}  // namespace

/// `key`, `person`: make the normalised address and target of the entry, only when somebody has
/// been named. A word about a person holds in whatever wave the table has this person by now.
template <class Key, class Person>
TableRouter::Standing TableRouter::weigh(const Waves& waves, bool has_state, EntryState state,
                                         bool has_wave, const Wave* wave, WallTime at, Key key,
                                         Person person) {
  if (!waves.words().empty()) {
    const std::string address = key();
    if (const auto* word = waves.word_for(address, person); word != nullptr)
      return {word->second.state, Standing::Source::person, wave, word, word->first != address};
  }
  if (has_state) return {state, Standing::Source::entry, wave};
  if (wave != nullptr) return {wave->state_at(at), Standing::Source::wave, wave};
  if (has_wave) return {EntryState::pending, Standing::Source::silent_wave};
  return {EntryState::active, Standing::Source::none};
}

TableRouter::Standing TableRouter::standing_of(const Record& record, WallTime at) const {
  const auto& table = *core_->table;
  const auto in_domain = [&](std::string key, std::uint32_t domain) {
    key += '@';
    return key += table.normal_name(table.normal_of(domain));
  };
  return weigh(
      *waves_, record.has_state, record.state, record.wave != 0, wave_by_number_[record.wave], at,
      [&] { return in_domain(std::string(record.key_local), record.address_domain); },
      [&] { return in_domain(mail::ascii_lower(record.target_local), record.target_domain); });
}

EntryState TableRouter::state_of(const Entry& entry, WallTime at) const {
  const auto* wave = entry.wave.empty() ? nullptr : waves_->find(entry.wave);
  const auto key_of = [](const mail::Mailbox& address) {
    auto key = normalise_key(address);
    return key ? std::move(*key) : std::string();
  };
  return weigh(
             *waves_, entry.has_state, entry.state, !entry.wave.empty(), wave, at,
             [&] { return key_of(entry.address); }, [&] { return key_of(entry.target); })
      .state;
}

std::string TableRouter::describe(const Standing& standing, const std::string& wave_name,
                                  WallTime at) const {
  std::string text;
  switch (standing.source) {
    case Standing::Source::person:
      text = describe_word(*standing.word, standing.follows);
      if (standing.wave != nullptr)
        text += "; wave " + quoted(wave_name) + " is " + words(standing.wave->state_at(at));
      if (standing.word->second.wave != wave_name)
        text += "; it was of wave " + quoted(standing.word->second.wave) + " then";
      return text;
    case Standing::Source::entry:
      return words(standing.state) + ": written in the entry" +
             (wave_name.empty() ? std::string()
                                : ", which comes before what wave " + quoted(wave_name) + " is");
    case Standing::Source::silent_wave:
      return words(standing.state) + ": nobody has said anything of wave " + quoted(wave_name) +
             " yet";
    case Standing::Source::none:
      return words(standing.state) + ": the entry has neither a state nor a wave";
    case Standing::Source::wave:
      break;
  }
  text = "wave " + quoted(wave_name) + " is " + describe_change(standing.wave->change_at(at));
  if (const auto* next = standing.wave->next_after(at))
    text += "; it becomes " + words(next->to) + " at " + format_time(next->at) + ", said by " +
            printable(next->by);
  return text;
}

void TableRouter::take_entry(Question& question, const Record& record,
                             const Standing& standing) const {
  auto& decision = question.decision;
  decision.state = standing.state;
  decision.wave = core_->table->wave_name(record.wave);
  decision.place = core_->table->place_of(record);
  question.note("state", [&] { return describe(standing, decision.wave, question.at); });
}

/// What operators have said of waves is not known: an old state may be the wrong system.
bool TableRouter::refuse_unknown_wave(Question& question, const Record& record) const {
  if (waves_->trouble().empty() || record.wave == 0) return false;
  const auto& wave = core_->table->wave_name(record.wave);
  question.decision.wave = wave;
  question.decision.place = core_->table->place_of(record);
  question.note("state", [&] {
    return "what wave " + quoted(wave) + " is is not known: " + waves_->trouble();
  });
  question.refuse(451, mail::status::spool_trouble,
                  "<" + printable(question.decision.original) +
                      ">: where this mailbox is is not known at the moment; try again later",
                  question.found(" of wave " + quoted(wave) +
                                 ", whose state is not known: " + waves_->trouble()));
  return true;
}

void TableRouter::decide_for_entry(Question& question, const Record& record) const {
  if (refuse_unknown_wave(question, record)) return;
  const auto standing = standing_of(record, question.at);
  take_entry(question, record, standing);
  if (standing.state == EntryState::pending || standing.state == EntryState::rolled_back)
    return decide_waiting(question, record, standing);
  decide_moving(question, record, standing);
}

/// The target with the plus-suffix that the address had.
mail::Mailbox TableRouter::target_for(Question& question,
                                      const CompactTable::Target& target) const {
  mail::Mailbox out{std::string(target.local), core_->table->written_domain(target.domain)};
  if (question.suffix.empty() || !core_->options.plus_keep_in_target) return out;
  auto longer = out;
  longer.local_part += question.suffix;
  const bool fits = longer.to_string().size() <= mail::kMaxAddressOctets;
  question.note("plus-suffix", [&] {
    return fits ? "kept in the target: " + printable(longer)
                : "left out of the target, which would be longer than 571 octets";
  });
  return fits ? longer : out;
}

/// Pending or rolled back: the mailbox is still where it was.
void TableRouter::decide_waiting(Question& question, const Record& record,
                                 const Standing& standing) const {
  auto& decision = question.decision;
  const bool pending = standing.state == EntryState::pending;
  const std::string state = pending ? ", not moved yet" : ", rolled back";
  if (pending && standing.wave != nullptr && standing.wave->shadow) {
    const auto& hop = core_->next_hop_of(core_->table->normal_of(record.target_domain));
    decision.shadow_target =
        target_for(question, {record.target_local, record.target_domain}).to_string();
    decision.shadow_next_hop = hop;
    question.note("shadow", [&] {
      return "wave " + quoted(decision.wave) + " is watched: if it were active, this would go to " +
             printable(decision.shadow_target) + " by next hop " + quoted(hop);
    });
  }
  const auto& hop = core_->options.pending_next_hop;
  if (!hop.empty()) {
    question.note("next hop", [&] {
      return words(standing.state) + ": goes unchanged to pending_next_hop " + quoted(hop);
    });
    return question.accept(Verdict::pass, question.asked, hop,
                           question.found(state + "; passed on unchanged"));
  }
  question.note("next hop",
                [&] { return words(standing.state) + ": deferred, there is no pending_next_hop"; });
  question.refuse(
      451, {4, 2, 1},
      "<" + printable(decision.original) + ">: the mailbox is not here yet; try again later",
      question.found(state + " and no pending_next_hop is configured"));
}

/// Active or migrating: to the target, at once or later.
void TableRouter::decide_moving(Question& question, const Record& record,
                                const Standing& standing) const {
  const auto normal = core_->table->normal_of(record.target_domain);
  const std::string& next_hop = core_->next_hop_of(normal);
  if (next_hop.empty()) {
    question.note("next hop", [&] {
      return "none for target domain " + quoted(core_->table->normal_name(normal));
    });
    return question.refuse(
        451, mail::status::spool_trouble,
        "<" + printable(question.decision.original) + ">: no route at the moment",
        question.found(", but no next hop serves its target's domain"));
  }
  auto target = target_for(question, {record.target_local, record.target_domain});
  const bool hold = standing.state == EntryState::migrating;
  question.note("next hop", [&] {
    return "target " + printable(target) + " goes to next hop " + quoted(next_hop) +
           (hold ? "; held, because the entry is migrating" : "");
  });
  if (record.copies != nullptr) add_copies(question, record);
  if (core_->srs && !hold)
    question.note("SRS", [&] {
      return "a sender that is not ours is rewritten to an address in " + quoted(core_->srs_domain);
    });
  question.accept(hold ? Verdict::hold : Verdict::rewrite, std::move(target), next_hop,
                  question.found(hold ? ", held while migrating" : ""));
}

void TableRouter::add_copies(Question& question, const Record& record) const {
  CompactTable::for_each_copy(record, [&](const CompactTable::Target& copy) {
    // The numbers of copies count from the entry: none may be left out.
    auto target = target_for(question, copy);
    const auto& next_hop = core_->next_hop_of(core_->table->normal_of(copy.domain));
    question.note("copy", [&] {
      return "a copy for " + printable(target) + " goes to next hop " + quoted(next_hop);
    });
    question.decision.copies.push_back({std::move(target), next_hop});
  });
}

}  // namespace waypost::routing
