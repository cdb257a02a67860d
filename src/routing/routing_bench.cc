// Load and look-up of a large table, measured: routing_bench [entries].
#include "waypost/routing/router.h"

#include "routing/compact_table.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

namespace {

using Timer = std::chrono::steady_clock;

double seconds_since(Timer::time_point start) {
  return std::chrono::duration<double>(Timer::now() - start).count();
}

/// Median and best of short stretches: a busy machine shows in some of them, not in all.
template <class Ask>
void measure(const char* what, std::size_t many, Ask ask) {
  constexpr std::size_t kStretch = 10'000;
  std::vector<double> stretches;
  std::size_t hits = 0;
  for (std::size_t from = 0; from + kStretch <= many; from += kStretch) {
    const auto start = Timer::now();
    for (auto i = from; i < from + kStretch; ++i) hits += ask(i);
    stretches.push_back(seconds_since(start) * 1e9 / kStretch);
  }
  std::sort(stretches.begin(), stretches.end());
  std::printf("%s: %.0f ns, best stretch %.0f ns (%zu hits)\n", what,
              stretches[stretches.size() / 2], stretches.front(), hits);
}

std::string local_of(std::size_t i) {
  return "firstname.lastname" + std::to_string(i * 2654435761u % 100'000'000);
}

std::string make_csv(std::size_t entries) {
  std::string csv = "address,target,state,wave\n";
  for (std::size_t i = 0; i < entries; ++i) {
    const auto local = local_of(i);
    csv += local + "@corp.example," + local + "@orgname.awsapps.com,active,wave" +
           std::to_string(i / 5000) + "\n";
  }
  return csv;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace waypost;
  const std::size_t entries = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  if (entries == 0) return 2;
  const auto csv = make_csv(entries);
  std::shared_ptr<const routing::Table> table;
  for (int run = 0; run < 3; ++run) {
    table.reset();
    const auto start = Timer::now();
    routing::TableBuilder builder;
    builder.add_csv("bench.csv", csv);
    table = builder.build();
    std::printf("load: %zu entries (%zu problems) in %.3f s\n", table->size(),
                builder.problems().size(), seconds_since(start));
  }
  std::printf("memory: %.1f octets an entry\n",
              static_cast<double>(table->memory_octets()) / static_cast<double>(table->size()));

  std::mt19937_64 random(7);
  std::vector<std::string> keys(1'000'000);
  for (auto& key : keys) key = local_of(random() % entries) + "@corp.example";
  // What a decision does: no entry is made of the record.
  const auto& compact = static_cast<const routing::CompactTable&>(*table);
  measure("find (record)", keys.size(), [&](std::size_t i) {
    const std::string_view key = keys[i];
    const auto at = key.rfind('@');
    const auto normal = compact.normal_number(key.substr(at + 1));
    const auto record = compact.find_record(key.substr(0, at), *normal);
    return record && record->line > 0;
  });
  measure("find (entry)", keys.size(),
          [&](std::size_t i) { return table->find(keys[i]).has_value(); });
  for (auto& key : keys) key.insert(0, "x");
  measure("find, miss", keys.size(),
          [&](std::size_t i) { return table->find(keys[i]).has_value(); });

  routing::Options options;
  options.own_domains = {"corp.example"};
  options.target_domains = {{"orgname.awsapps.com", "workmail"}};
  routing::TableSource source;
  source.kind = routing::TableSource::Kind::inline_yaml;
  source.entries = table->entries();
  options.sources = {std::move(source)};
  table.reset();
  std::vector<routing::Problem> problems;
  const auto router = routing::Router::load(options, problems);
  if (!router) {
    std::fprintf(stderr, "%s\n", router.error().message.c_str());
    return 1;
  }
  std::vector<mail::Mailbox> addresses(500'000);
  for (auto& address : addresses) address = {local_of(random() % entries), "Corp.Example"};
  measure("decide", addresses.size(), [&](std::size_t i) {
    return (*router)->decide(addresses[i], WallTime{}).verdict == routing::Verdict::rewrite;
  });
  return 0;
}
