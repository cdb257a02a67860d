// Loading a router: sources into a table, and what only shows when table and options meet.
#include "waypost/base/counted.h"

#include "routing/compact_table.h"
#include "routing/router_impl.h"
#include "routing/sources.h"

#include <map>
#include <memory>

namespace waypost::routing {
namespace {

/// The first entry of the sources that `matches`, for the place of a problem.
template <class Matches>
std::optional<CompactTable::Record> first_record(const CompactTable& table, Matches matches) {
  std::optional<CompactTable::Record> found;
  table.for_each_record([&](const CompactTable::Record& record, std::uint32_t) {
    const bool earlier = !found || record.place() < found->place();
    if (earlier && matches(record)) found = record;
  });
  return found;
}

/// The first target of a record that is in this domain.
std::optional<mail::Mailbox> target_in(const CompactTable& table,
                                       const CompactTable::Record& record, std::uint32_t normal) {
  std::optional<mail::Mailbox> found;
  const auto look = [&](const CompactTable::Target& target) {
    if (!found && table.normal_of(target.domain) == normal)
      found = mail::Mailbox{std::string(target.local), table.written_domain(target.domain)};
  };
  look({record.target_local, record.target_domain});
  CompactTable::for_each_copy(record, look);
  return found;
}

void report_targets(const CompactTable& table, const RouterCore& core,
                    std::vector<Problem>& problems) {
  for (std::uint32_t normal = 0; normal < table.normal_count(); ++normal) {
    if (!table.normal_has_targets(normal)) continue;
    const auto& name = table.normal_name(normal);
    const bool own = core.is_own(name);
    if (!own && !core.next_hop_for(name).empty()) continue;
    const auto record = first_record(table, [&](const CompactTable::Record& one) {
      return target_in(table, one, normal).has_value();
    });
    if (!record) continue;
    const auto target = target_in(table, *record, normal);
    const auto entry = table.entry_of(*record);
    auto message =
        "the target '" + target->to_string() + "' of '" + entry.address.to_string() + "' ";
    message +=
        own ? "is in '" + name +
                  "', which is an own domain: its mail would come back here; give the "
                  "address in the target domain"
            : "is in '" + name +
                  "', which no next hop serves; add it to routing.target_domains, such as: " +
                  name + ": NEXT-HOP";
    problems.push_back(Problem{true, entry.place.source, entry.place.line, 0, std::move(message)});
  }
}

void report_addresses(const CompactTable& table, const RouterCore& core,
                      std::vector<Problem>& problems) {
  for (std::uint32_t normal = 0; normal < table.normal_count(); ++normal) {
    if (!table.normal_has_entries(normal) || core.is_own(table.normal_name(normal))) continue;
    const auto record = first_record(table, [&](const CompactTable::Record& one) {
      return table.normal_of(one.address_domain) == normal;
    });
    if (!record) continue;
    const auto entry = table.entry_of(*record);
    problems.push_back(Problem{false, entry.place.source, entry.place.line, 0,
                               "'" + entry.address.to_string() + "' is in '" +
                                   table.normal_name(normal) +
                                   "', which is neither in routing.own_domains nor a domain alias; "
                                   "add the domain there or correct the address"});
  }
}

void report_own_domains(const CompactTable& table, const Options& options,
                        std::vector<Problem>& problems) {
  for (const auto& own : options.own_domains) {
    const auto normal = normalise_domain(own);
    if (!normal) {
      problems.push_back(Problem{true, {}, 0, 0, "own domain: " + normal.error().message});
      continue;
    }
    if (!table.has_domain(*normal))
      problems.push_back(Problem{
          false,
          {},
          0,
          0,
          "own domain '" + own + "' has no entry in any table: every address there is refused"});
    else if (!table.find("postmaster@" + *normal))
      problems.push_back(Problem{false,
                                 {},
                                 0,
                                 0,
                                 "there is no entry for postmaster@" + own +
                                     ", which every domain must have (RFC 5321 section 4.5.1); "
                                     "add it to the table"});
  }
}

void report_option_domains(const Options& options, std::vector<Problem>& problems) {
  const auto check = [&](std::string_view what, const std::string& domain) {
    if (const auto normal = normalise_domain(domain); !normal)
      problems.push_back(
          Problem{true, {}, 0, 0, std::string(what) + ": " + normal.error().message});
  };
  for (const auto& alias : options.domain_aliases) {
    check("domain alias", alias.alias);
    check("domain alias", alias.domain);
  }
  for (const auto& target : options.target_domains) check("target domain", target.domain);
}

/// "Wave-1", "wave 1" and "wave_1": two of them are two waves, and nobody meant that.
std::string folded_wave(std::string_view name) {
  auto out = mail::ascii_lower(name);
  std::erase_if(out, [](char c) { return c == ' ' || c == '-' || c == '_' || c == '.'; });
  return out;
}

void report_similar_waves(const CompactTable& table, const Waves& waves,
                          std::vector<Problem>& problems) {
  std::map<std::string, std::string> known;  // folded -> the first with it
  const auto look = [&](const std::string& name, const SourcePlace& place) {
    const auto [first, fresh] = known.try_emplace(folded_wave(name), name);
    if (fresh || first->second == name) return;
    problems.push_back(Problem{false, place.source, place.line, 0,
                               "wave '" + name + "' is not wave '" + first->second +
                                   "': the names differ in letter case, blanks or dashes, so a "
                                   "command for one leaves the people of the other behind; write "
                                   "them alike"});
  };
  for (const auto& [name, wave] : waves.all()) look(name, {});
  for (std::uint32_t number = 1; number < table.wave_count(); ++number) {
    const auto& name = table.wave_name(number);
    const auto first = known.find(folded_wave(name));
    const bool told = first != known.end() && first->second != name;
    const auto record =
        told ? first_record(table,
                            [&](const CompactTable::Record& one) { return one.wave == number; })
             : std::nullopt;
    if (told && !record) continue;  // nobody is of it
    look(name, record ? table.place_of(*record) : SourcePlace{});
  }
}

std::shared_ptr<const Waves> waves_or_those_of(const Options& options,
                                               std::shared_ptr<const Waves> waves) {
  return waves ? std::move(waves) : Waves::make(options.waves, {});
}

/// nullopt: no error among the problems from `since` on.
std::optional<Error> refusal(const std::vector<Problem>& problems, std::size_t since) {
  std::size_t errors = 0;
  const Problem* first = nullptr;
  for (auto i = since; i < problems.size(); ++i) {
    if (!problems[i].error) continue;
    if (first == nullptr) first = &problems[i];
    ++errors;
  }
  if (first == nullptr) return std::nullopt;
  return Error{ErrorKind::invalid,
               "the routing table cannot be used: " + first->to_string() +
                   (errors > 1 ? " (and " + counted(errors - 1, "more error") + ")" : "")};
}

}  // namespace

Result<std::shared_ptr<const Router>> Router::load(const Options& options,
                                                   std::vector<Problem>& problems,
                                                   std::shared_ptr<const Waves> waves) {
  const auto before = problems.size();
  TableBuilder builder;
  for (const auto& wave : options.waves) add_members_file(builder, wave, problems);
  for (const auto& source : options.sources) add_source(builder, source, options, problems);
  auto table = std::static_pointer_cast<const CompactTable>(builder.build());
  problems.insert(problems.end(), builder.problems().begin(), builder.problems().end());
  Options kept = options;
  for (auto& source : kept.sources) source.entries.clear();  // they are in the table now
  auto core = std::make_shared<RouterCore>(std::move(kept), table, std::string());
  report_option_domains(options, problems);
  report_targets(*table, *core, problems);
  report_addresses(*table, *core, problems);
  if (!options.sources.empty()) report_own_domains(*table, options, problems);
  waves = waves_or_those_of(options, std::move(waves));
  report_similar_waves(*table, *waves, problems);
  if (!options.srs.domain.empty()) {
    if (auto secrets = read_srs_secrets(options.srs.secret_file))
      core->use_srs(std::move(*secrets));
    else
      problems.push_back(Problem{true, options.srs.secret_file, 0, 0, secrets.error().message});
  }
  if (auto refused = refusal(problems, before)) return fail(std::move(*refused));
  return std::make_shared<TableRouter>(std::move(core), std::move(waves));
}

std::shared_ptr<const Router> Router::unavailable(const Options& options, std::string reason) {
  if (reason.empty()) reason = "never loaded";
  auto core = std::make_shared<RouterCore>(options, std::make_shared<const CompactTable>(),
                                           std::move(reason));
  // Returned mail needs no table.
  if (!options.srs.domain.empty())
    if (auto secrets = read_srs_secrets(options.srs.secret_file))
      core->use_srs(std::move(*secrets));
  return std::make_shared<TableRouter>(std::move(core), waves_or_those_of(options, nullptr));
}

}  // namespace waypost::routing
