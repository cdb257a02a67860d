#include "load/recipient_mix.h"

#include "waypost/base/counted.h"
#include "waypost/mail/address.h"
#include "waypost/routing/table.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <optional>
#include <unordered_set>

namespace waypost::load {
namespace {

std::string domain_of(const std::string& address) {
  const auto at = address.rfind('@');
  return at == std::string::npos ? std::string() : address.substr(at + 1);
}

}  // namespace

char letter(RecipientKind kind) {
  return kind == RecipientKind::known ? 'k' : kind == RecipientKind::unknown ? 'u' : 'f';
}

std::optional<RecipientKind> kind_of(char letter) {
  if (letter == 'k') return RecipientKind::known;
  if (letter == 'u') return RecipientKind::unknown;
  if (letter == 'f') return RecipientKind::foreign;
  return std::nullopt;
}

Result<WaveWeight> parse_wave(std::string_view text) {
  WaveWeight out;
  const auto equals = text.rfind('=');
  out.wave = std::string(text.substr(0, equals));
  if (equals == std::string_view::npos) return out;
  const auto weight = parse_number(text.substr(equals + 1));
  if (!weight || *weight <= 0) {
    return fail(ErrorKind::invalid,
                "--wave " + std::string(text) + ": write NAME=WEIGHT with a weight above 0");
  }
  out.weight = *weight;
  return out;
}

Result<> RecipientMix::load_table() {
  std::ifstream file(options_.table_file, std::ios::binary);
  if (!file) {
    return fail(ErrorKind::not_found, "--table " + options_.table_file + ": can't be read");
  }
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  routing::TableBuilder builder;
  builder.add_csv(options_.table_file, text);
  const auto table = builder.build();
  // Warnings may come before the reason that counts.
  for (const auto& problem : builder.problems())
    if (problem.error) return fail(ErrorKind::invalid, "--table: " + problem.to_string());
  std::map<std::string, std::size_t> by_wave;
  std::vector<std::string> states = options_.states;
  if (states.empty()) states = {"active"};
  table->for_each([&](const routing::Entry& entry) {
    if (std::find(states.begin(), states.end(), routing::to_string(entry.state)) == states.end()) {
      return;
    }
    const std::string wave = entry.wave.empty() ? std::string(kNoWave) : entry.wave;
    const auto [at, fresh] = by_wave.try_emplace(wave, groups_.size());
    if (fresh) {
      groups_.push_back({{}, 1, static_cast<std::uint16_t>(waves_.size())});
      waves_.push_back(wave);
    }
    groups_[at->second].people.push_back({entry.address.to_string(), entry.target.to_string()});
  });
  if (groups_.empty()) {
    return fail(ErrorKind::not_found,
                "--table " + options_.table_file + ": no entry has the wanted state; see --state");
  }
  return {};
}

/// Groups that no --wave names go; the others get their share.
void RecipientMix::set_limits() {
  std::vector<double> weights;
  std::vector<Group> kept;
  for (auto& group : groups_) {
    double weight = static_cast<double>(group.people.size());
    if (!options_.waves.empty()) {
      const auto named =
          std::find_if(options_.waves.begin(), options_.waves.end(),
                       [&](const WaveWeight& one) { return one.wave == waves_[group.wave]; });
      if (named == options_.waves.end()) continue;
      weight = named->weight;
    }
    weights.push_back(weight);
    kept.push_back(std::move(group));
  }
  groups_ = std::move(kept);
  double total = 0, so_far = 0;
  for (const double weight : weights) total += weight;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    so_far += weights[i];
    groups_[i].limit = i + 1 == groups_.size() ? 1.0 : so_far / total;
  }
}

Result<RecipientMix> RecipientMix::make(const RecipientOptions& options) {
  RecipientMix out;
  out.options_ = options;
  if (!options.table_file.empty()) {
    if (auto loaded = out.load_table(); !loaded) return fail(std::move(loaded).error());
    for (const auto& wanted : options.waves) {
      if (std::find(out.waves_.begin(), out.waves_.end(), wanted.wave) == out.waves_.end()) {
        return fail(ErrorKind::not_found, "--wave " + wanted.wave + ": " + options.table_file +
                                              " has no such entry; see also --state");
      }
    }
  } else if (!options.addresses.empty()) {
    out.groups_.emplace_back();
    out.waves_.emplace_back(kNoWave);
    for (const auto& address : options.addresses) {
      const auto mailbox = mail::parse_mailbox(address);
      if (!mailbox) {
        return fail(ErrorKind::invalid, "--to " + address + ": " + mailbox.error().message);
      }
      const std::string wire = mailbox->to_string();
      out.groups_.front().people.push_back({wire, wire});
    }
  } else {
    return fail(ErrorKind::invalid,
                "who are the messages for? Give --table FILE.csv or --to ADDRESS");
  }
  if (options.unknown_share + options.foreign_share > 1) {
    return fail(ErrorKind::invalid, "--unknown-share and --foreign-share are above 1 together");
  }
  out.set_limits();
  std::size_t people = 0;
  for (const auto& group : out.groups_) people += group.people.size();
  out.description_ = with_commas(people) + " " + noun(people, "address", "addresses") +
                     (options.table_file.empty() ? "" : " of " + options.table_file);
  return out;
}

const RecipientMix::Group& RecipientMix::group(double at) const {
  for (const auto& group : groups_) {
    if (at < group.limit) return group;
  }
  return groups_.back();
}

void RecipientMix::draw_one(Random& random, Recipient& into, std::uint16_t& wave) const {
  const Group& from = group(groups_.size() == 1 ? 0.0 : random.unit());
  const Person& person = from.people[random.below(from.people.size())];
  wave = from.wave;
  into.kind = RecipientKind::known;
  into.group_member = false;
  if (options_.unknown_share > 0 || options_.foreign_share > 0) {
    const double chance = random.unit();
    if (chance < options_.unknown_share) into.kind = RecipientKind::unknown;
    if (chance >= 1 - options_.foreign_share) into.kind = RecipientKind::foreign;
  }
  switch (into.kind) {
    case RecipientKind::known:
      into.address = person.address;
      into.expected = person.target;
      into.group_member = options_.group_share > 0 && random.unit() < options_.group_share;
      break;
    case RecipientKind::unknown:
      into.address = "nobody-" + std::to_string(random.next() % 1'000'000'007) + "@" +
                     domain_of(person.address);
      into.expected.clear();
      break;
    case RecipientKind::foreign:
      into.address =
          "guest-" + std::to_string(random.below(100'000)) + "@" + options_.foreign_domain;
      into.expected = into.address;
      break;
  }
}

void RecipientMix::draw(std::uint64_t sequence, std::vector<Recipient>& into,
                        std::uint16_t& wave) const {
  const bool burst =
      options_.burst_every > 0 && sequence % options_.burst_every == options_.burst_every - 1;
  const std::uint32_t count = burst ? options_.burst_recipients : options_.per_message;
  Random random(options_.seed * 0x9E3779B97F4A7C15 + sequence);
  into.resize(count);
  draw_one(random, into.front(), wave);
  if (count == 1) return;
  // One message names each person once, though some have several addresses; it has fewer
  // recipients where there are not enough people.
  std::unordered_set<std::string> seen;
  const auto fresh = [&seen](const Recipient& one) {
    return seen.insert(one.expected.empty() ? one.address : one.expected).second;
  };
  fresh(into.front());
  std::uint32_t have = 1;
  std::uint64_t tries = std::uint64_t{count} * 30;
  for (std::uint16_t ignored = 0; have < count && tries > 0; --tries) {
    draw_one(random, into[have], ignored);
    if (fresh(into[have])) ++have;
  }
  into.resize(have);
}

}  // namespace waypost::load
