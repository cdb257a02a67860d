// What a new table takes away from people, and whether that looks like a source that was cut off.
#include "waypost/base/counted.h"
#include "waypost/routing/table_facts.h"

#include "routing/diff_visitor.h"
#include "routing/hex_digest.h"

#include <boost/json.hpp>

#include <algorithm>
#include <set>

namespace waypost::routing {
namespace {

namespace json = boost::json;
constexpr std::uint64_t kAlwaysAllowed = 10;
constexpr std::string_view kSum = "sum";  // the last member, over all that is in front of it

/// What an earlier version wrote has none.
bool has_right_sum(json::object all) {
  const auto* sum = all.if_contains(kSum);
  if (sum == nullptr) return true;
  const std::string said(sum->is_string() ? std::string_view(sum->as_string())
                                          : std::string_view());
  all.erase(kSum);
  return said == sha256(json::serialize(all));
}

TableSize::Words words_of(const Entry& entry) {
  return {entry.wave, entry.has_state ? std::string(to_string(entry.state)) : std::string()};
}

bool says_nothing(const Entry& entry) { return entry.wave.empty() && !entry.has_state; }

std::optional<EntryState> state_named(std::string_view name) {
  for (const auto state :
       {EntryState::pending, EntryState::migrating, EntryState::active, EntryState::rolled_back})
    if (to_string(state) == name) return state;
  return std::nullopt;
}

/// False: the wave is pending because nobody, neither configuration nor operator, says otherwise.
bool speaks_of(const Router& router, std::string_view name) {
  const auto* wave = router.waves().find(name);
  if (wave == nullptr) return false;
  const auto& options = router.options().waves;
  return wave->changes.size() > 1 ||
         std::any_of(options.begin(), options.end(), [&](const WaveOptions& one) {
           return one.name == name && one.state.has_value();
         });
}

EntryState state_of_wave(const Router& router, std::string_view name, WallTime at) {
  const auto* wave = router.waves().find(name);
  return wave == nullptr ? EntryState::pending : wave->state_at(at);
}

/// Waves that were something, and are pending now because what said so is gone.
std::set<std::string, std::less<>> silenced_waves(const Router& before, const Router& after,
                                                  WallTime at) {
  std::set<std::string, std::less<>> found;
  for (const auto& [name, wave] : before.waves().all())
    if (speaks_of(before, name) && !speaks_of(after, name) &&
        wave.state_at(at) != state_of_wave(after, name, at))
      found.insert(name);
  return found;
}

class Losses final : public DiffVisitor {
 public:
  Losses(const Router& before, const Router& after, WallTime at, const TableExcuse& excuse)
      : before_(before),
        after_(after),
        at_(at),
        excuse_(excuse),
        silenced_(silenced_waves(before, after, at)) {
    losses.excused = excuse.source;
  }

  void removed(const Entry& was) override {
    if (!is_excused(was)) ++losses.removed;
  }
  void changed(const Entry& was, const Entry& now) override {
    if (excuse_.words && is_excused(was)) return;
    const auto state = before_.state_of(was, at_);
    const bool silenced = says_nothing(now) && !says_nothing(was);
    if (silenced && state != EntryState::active) {
      ++losses.fallen;
      note(losses.first_fallen, first_fallen_, was, now, state);
    } else if (was.place.source != now.place.source && state != EntryState::active &&
               after_.state_of(now, at_) == EntryState::active) {
      ++losses.uncovered;
      note(losses.first_uncovered, first_uncovered_, was, now, state);
    }
    const bool wave_lost = !was.wave.empty() && was.wave != now.wave;
    const bool state_lost = was.has_state && (!now.has_state || now.state != was.state);
    if (wave_lost || state_lost || state != after_.state_of(now, at_)) ++losses.restated;
  }
  void count_silenced_waves() {
    if (silenced_.empty()) return;
    after_.table().for_each([&](const Entry& entry) {
      if (!entry.has_state && silenced_.contains(entry.wave)) ++losses.restated;
    });
  }

  TableLosses losses;

 private:
  using Where = std::pair<std::string, std::uint32_t>;
  /// The first by its place in the new table.
  static void note(std::string& first, Where& first_place, const Entry& was, const Entry& now,
                   EntryState state) {
    Where place(now.place.source, now.place.line);
    if (!first.empty() && first_place < place) return;
    first_place = std::move(place);
    first =
        was.address.to_string() + ", " + std::string(to_string(state)) + " until now (" +
        (was.place.source == now.place.source ? std::string() : was.place.to_string() + ", now ") +
        now.place.to_string() + ")";
  }
  bool is_excused(const Entry& was) const {
    return !excuse_.source.empty() && was.place.source == excuse_.source;
  }

  const Router& before_;
  const Router& after_;
  WallTime at_;
  const TableExcuse& excuse_;
  Where first_fallen_, first_uncovered_;
  std::set<std::string, std::less<>> silenced_;
};

std::string percent(double share) {
  auto text = std::to_string(share * 100);
  text.resize(std::min(text.size(), text.find('.') + 2));
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text + " %";
}

std::uint64_t in_wave(const TableSize& size, std::string_view wave) {
  std::uint64_t many = 0;
  for (const auto& [words, said] : size.said)
    if (words.first == wave) many += said.entries;
  return many;
}

bool is_source(const Options& options, const std::string& path) {
  return std::any_of(options.sources.begin(), options.sources.end(), [&](const TableSource& one) {
    return std::find(one.paths.begin(), one.paths.end(), path) != one.paths.end();
  });
}

std::optional<std::string> suddenly_empty(const TableSize& before, const TableSize& after,
                                          const std::string& excused, const Options& options) {
  for (const auto& [source, count] : before.by_source) {
    const auto now = after.by_source.find(source);
    if (count == 0 || source == excused || (now != after.by_source.end() && now->second > 0))
      continue;
    if (is_source(options, source))
      return "'" + source + "' is suddenly empty: " + counted(count, "entry", "entries") +
             " came from it before";
  }
  for (const auto& wave : options.waves) {
    if (wave.members_file.empty() || in_wave(after, wave.name) > 0) continue;
    if (const auto count = in_wave(before, wave.name); count > 0)
      return "wave '" + wave.name +
             "' is suddenly empty: " + counted(count, "entry was", "entries were") +
             " of it before, and nobody in '" + wave.members_file + "' is in the table now";
  }
  return std::nullopt;
}

std::optional<std::uint64_t> number(const json::value* one) {
  if (one == nullptr || !one->is_int64() || one->as_int64() < 0) return std::nullopt;
  return static_cast<std::uint64_t>(one->as_int64());
}

bool read_said(const json::value& value, TableSize& size) {
  if (!value.is_array()) return false;
  for (const auto& item : value.as_array()) {
    if (!item.is_object()) return false;
    const auto text = [&](const char* key) {
      const auto* member = item.as_object().if_contains(key);
      return member != nullptr && member->is_string() ? std::string(member->as_string())
                                                      : std::string();
    };
    const auto entries = number(item.as_object().if_contains("entries"));
    const auto state = state_named(text("then"));
    if (!entries || !state) return false;
    size.said[{text("wave"), text("state")}] = {*entries, *state};
  }
  size.said_known = true;
  return true;
}

}  // namespace

TableSize size_of(const Router& router, WallTime at) {
  TableSize size;
  size.said_known = true;
  router.table().for_each([&](const Entry& entry) {
    ++size.entries;
    ++size.by_source[entry.place.source];
    auto& said = size.said[words_of(entry)];
    if (said.entries++ == 0)
      said.state = entry.has_state      ? entry.state
                   : entry.wave.empty() ? EntryState::active
                                        : state_of_wave(router, entry.wave, at);
  });
  return size;
}

std::uint64_t TableSize::silent() const {
  const auto none = said.find({});
  return none == said.end() ? 0 : none->second.entries;
}

std::string TableSize::to_json() const {
  json::object sources;
  for (const auto& [source, count] : by_source) sources[source] = count;
  json::array words;
  for (const auto& [one, group] : said)
    words.emplace_back(json::object{{"wave", one.first},
                                    {"state", one.second},
                                    {"then", to_string(group.state)},
                                    {"entries", group.entries}});
  json::object all{{"entries", entries}, {"sources", std::move(sources)}};
  if (said_known) all["said"] = std::move(words);
  all[kSum] = sha256(json::serialize(all));
  return json::serialize(all);
}

Result<TableSize> TableSize::from_json(std::string_view text) {
  const auto nonsense = [] { return fail(ErrorKind::corrupt, "it holds no table size"); };
  boost::system::error_code error;
  const auto value = json::parse({text.data(), text.size()}, error);
  if (error || !value.is_object()) return nonsense();
  if (!has_right_sum(value.as_object())) return fail(ErrorKind::corrupt, "its checksum is wrong");
  TableSize size;
  const auto entries = number(value.as_object().if_contains("entries"));
  const auto* sources = value.as_object().if_contains("sources");
  if (!entries || sources == nullptr || !sources->is_object()) return nonsense();
  size.entries = *entries;
  for (const auto& [source, count] : sources->as_object()) {
    if (!number(&count)) return nonsense();
    size.by_source[std::string(source)] = *number(&count);
  }
  const auto* said = value.as_object().if_contains("said");
  if (said != nullptr && !read_said(*said, size)) return nonsense();
  return size;
}

TableComparison compare(const Router& before, const Router& after, WallTime at,
                        std::size_t most_names, const TableExcuse& excuse) {
  Losses losses(before, after, at, excuse);
  TableComparison out;
  out.diff = diff(before.table(), after.table(), most_names, losses);
  losses.count_silenced_waves();
  out.losses = std::move(losses.losses);
  return out;
}

TableLosses losses_by_number(const TableSize& before, const TableSize& after, const Router& now,
                             WallTime at) {
  const auto less = [](std::uint64_t was, std::uint64_t is) { return was > is ? was - is : 0; };
  TableLosses losses;
  losses.removed = less(before.entries, after.entries);
  if (!before.said_known) return losses;
  std::uint64_t left = 0, may_fall = 0;
  for (const auto& [words, was] : before.said) {
    if (words == TableSize::Words()) continue;
    const auto known = after.said.find(words);
    const auto is = known == after.said.end() ? 0 : known->second.entries;
    const bool follows_wave = words.second.empty();
    const bool spoken = follows_wave && speaks_of(now, words.first);
    // Operators may have said something of the wave since.
    const auto state = spoken ? state_of_wave(now, words.first, at) : was.state;
    left += less(was.entries, is);
    if (state != EntryState::active) may_fall += less(was.entries, is);
    if (follows_wave && !spoken && was.state != EntryState::pending)
      losses.restated += std::min(was.entries, is);
  }
  losses.fallen = std::min(may_fall, less(after.silent(), before.silent()));
  // Who has left a group is gone or in another one; of the silent ones some are gone, too.
  const auto silent_less = less(before.silent(), after.silent());
  losses.restated += less(left, less(losses.removed, silent_less));
  return losses;
}

std::optional<std::string> suspicious_shrink(const TableSize& before, const TableSize& after,
                                             const TableLosses& losses, const Options& options) {
  if (auto empty = suddenly_empty(before, after, losses.excused, options)) return empty;
  if (losses.fallen > 0)
    return counted(losses.fallen, "entry would be active", "entries would be active") +
           " because nothing says any more which wave or state " +
           noun(losses.fallen, "it has", "they have") +
           (losses.first_fallen.empty() ? std::string() : ": first " + losses.first_fallen);
  if (losses.uncovered > 0)
    return counted(losses.uncovered, "entry would be active", "entries would be active") +
           " because " + noun(losses.uncovered, "its", "their") + " source has lost " +
           noun(losses.uncovered, "it", "them") + " and another one says otherwise: first " +
           losses.first_uncovered;
  const auto lost = losses.removed + losses.restated;
  if (lost <= kAlwaysAllowed || before.entries == 0) return std::nullopt;
  const double share = static_cast<double>(lost) / static_cast<double>(before.entries);
  if (share <= options.most_removed) return std::nullopt;
  const auto of = " of " + counted(before.entries, "entry", "entries") + " ";
  std::string what =
      std::to_string(losses.removed) + of + noun(losses.removed, "is", "are") + " gone";
  const auto restated = noun(losses.restated, "has", "have") + " another wave or state";
  if (losses.removed == 0)
    what = std::to_string(losses.restated) + of + restated;
  else if (losses.restated > 0)
    what += " and " + std::to_string(losses.restated) + " " + restated;
  return what + " (" + percent(share) + "; routing.most_removed allows " +
         percent(options.most_removed) + ")";
}

}  // namespace waypost::routing
