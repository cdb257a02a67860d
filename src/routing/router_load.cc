// Loading a router: sources into a table, and what only shows when table and options meet.
#include "routing/compact_table.h"
#include "routing/router_impl.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <memory>

namespace waypost::routing {
namespace {

constexpr std::uint64_t kMaxFile = 4ull << 30;

Result<std::string> read_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                             &std::fclose);
  if (!file)
    return fail(errno == ENOENT ? ErrorKind::not_found : ErrorKind::io,
                "cannot read the table: " + describe_errno(errno) +
                    "; check the path and that the waypost user may read it");
  struct stat info{};
  if (::fstat(fileno(file.get()), &info) != 0)
    return fail(ErrorKind::io, "cannot read the table: " + describe_errno(errno));
  if (!S_ISREG(info.st_mode)) return fail(ErrorKind::io, "the table is not a regular file");
  if (static_cast<std::uint64_t>(info.st_size) > kMaxFile)
    return fail(ErrorKind::exhausted, "the table is larger than 4 GiB");
  std::string content(static_cast<std::size_t>(info.st_size), '\0');
  const auto got = std::fread(content.data(), 1, content.size(), file.get());
  // A file that grows or shrinks under our eyes is being written.
  if (got != content.size() || std::fgetc(file.get()) != EOF)
    return fail(ErrorKind::io,
                "the table changed while it was read; write it beside and rename it into place");
  return content;
}

/// The first entry that `matches`, for the place of a problem.
template <class Matches>
std::optional<Entry> first_entry(const CompactTable& table, Matches matches) {
  std::optional<Entry> found;
  table.for_each_record([&](const CompactTable::Record& record, std::uint32_t) {
    if (!found && matches(record)) found = table.entry_of(record);
  });
  return found;
}

void report_targets(const CompactTable& table, const TableRouter& router,
                    std::vector<Problem>& problems) {
  for (std::uint32_t normal = 0; normal < table.normal_count(); ++normal) {
    if (!table.normal_has_targets(normal)) continue;
    const auto& name = table.normal_name(normal);
    const bool own = router.is_own(name);
    if (!own && !router.next_hop_for(name).empty()) continue;
    const auto entry = first_entry(table, [&](const CompactTable::Record& record) {
      return table.normal_of(record.target_domain) == normal;
    });
    if (!entry) continue;
    auto message =
        "the target '" + entry->target.to_string() + "' of '" + entry->address.to_string() + "' ";
    message +=
        own ? "is in '" + name +
                  "', which is an own domain: its mail would come back here; give the "
                  "address in the target domain"
            : "is in '" + name +
                  "', which no next hop serves; add it to routing.target_domains, such as: " +
                  name + ": NEXT-HOP";
    problems.push_back(
        Problem{true, entry->place.source, entry->place.line, 0, std::move(message)});
  }
}

void report_addresses(const CompactTable& table, const TableRouter& router,
                      std::vector<Problem>& problems) {
  for (std::uint32_t normal = 0; normal < table.normal_count(); ++normal) {
    if (!table.normal_has_entries(normal) || router.is_own(table.normal_name(normal))) continue;
    const auto entry = first_entry(table, [&](const CompactTable::Record& record) {
      return table.normal_of(record.address_domain) == normal;
    });
    if (!entry) continue;
    problems.push_back(Problem{false, entry->place.source, entry->place.line, 0,
                               "'" + entry->address.to_string() + "' is in '" +
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

bool any_error(const std::vector<Problem>& problems, std::size_t since) {
  for (auto i = since; i < problems.size(); ++i)
    if (problems[i].error) return true;
  return false;
}

}  // namespace

Result<std::shared_ptr<const Router>> Router::load(const Options& options,
                                                   std::vector<Problem>& problems,
                                                   std::shared_ptr<const Waves> waves) {
  const auto before = problems.size();
  TableBuilder builder;
  for (const auto& source : options.sources) {
    if (source.kind == TableSource::Kind::inline_yaml) {
      for (const auto& entry : source.entries) builder.add_entry(entry);
      continue;
    }
    if (const auto content = read_file(source.paths.front()))
      builder.add_csv(source.paths.front(), *content);
    else
      problems.push_back(Problem{true, source.paths.front(), 0, 0, content.error().message});
  }
  auto table = std::static_pointer_cast<const CompactTable>(builder.build());
  problems.insert(problems.end(), builder.problems().begin(), builder.problems().end());
  Options kept = options;
  for (auto& source : kept.sources) source.entries.clear();  // they are in the table now
  auto router = std::make_shared<TableRouter>(std::move(kept), table, std::string());
  if (waves) router->use_waves(std::move(waves));
  report_option_domains(options, problems);
  report_targets(*table, *router, problems);
  report_addresses(*table, *router, problems);
  if (!options.sources.empty()) report_own_domains(*table, options, problems);
  if (!options.srs.domain.empty()) {
    if (auto secrets = read_srs_secrets(options.srs.secret_file))
      router->use_srs(std::move(*secrets));
    else
      problems.push_back(Problem{true, options.srs.secret_file, 0, 0, secrets.error().message});
  }
  if (any_error(problems, before)) {
    std::size_t errors = 0;
    const Problem* first = nullptr;
    for (auto i = before; i < problems.size(); ++i) {
      if (!problems[i].error) continue;
      if (first == nullptr) first = &problems[i];
      ++errors;
    }
    return fail(ErrorKind::invalid,
                "the routing table cannot be used: " + first->to_string() +
                    (errors > 1 ? " (and " + std::to_string(errors - 1) + " more errors)" : ""));
  }
  return std::shared_ptr<const Router>(std::move(router));
}

std::shared_ptr<const Router> Router::unavailable(const Options& options, std::string reason) {
  if (reason.empty()) reason = "never loaded";
  auto router = std::make_shared<TableRouter>(options, TableBuilder().build(), std::move(reason));
  // Returned mail needs no table.
  if (!options.srs.domain.empty())
    if (auto secrets = read_srs_secrets(options.srs.secret_file))
      router->use_srs(std::move(*secrets));
  return router;
}

}  // namespace waypost::routing
