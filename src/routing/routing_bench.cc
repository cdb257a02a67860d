// Load and look-up of a large table, measured: routing_bench [entries].
#include "waypost/routing/router.h"

#include "routing/compact_table.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace {

using Timer = std::chrono::steady_clock;

double seconds_since(Timer::time_point start) {
  return std::chrono::duration<double>(Timer::now() - start).count();
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
  std::size_t found = 0;
  // What a decision does: no entry is made of the record.
  const auto& compact = static_cast<const routing::CompactTable&>(*table);
  for (int run = 0; run < 3; ++run) {
    found = 0;
    const auto began = Timer::now();
    for (const auto& key : keys) {
      const auto at = key.rfind('@');
      const auto normal = compact.normal_number(std::string_view(key).substr(at + 1));
      const auto record = compact.find_record(std::string_view(key).substr(0, at), *normal);
      found += record && record->line > 0;
    }
    std::printf("find (record): %.0f ns (%zu found)\n",
                seconds_since(began) * 1e9 / static_cast<double>(keys.size()), found);
  }
  found = 0;
  auto start = Timer::now();
  for (const auto& key : keys) found += table->find(key).has_value();
  std::printf("find, hit: %.0f ns (%zu found)\n",
              seconds_since(start) * 1e9 / static_cast<double>(keys.size()), found);
  for (auto& key : keys) key.insert(0, "x");
  found = 0;
  start = Timer::now();
  for (const auto& key : keys) found += table->find(key).has_value();
  std::printf("find, miss: %.0f ns (%zu found)\n",
              seconds_since(start) * 1e9 / static_cast<double>(keys.size()), found);

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
  std::size_t rewritten = 0;
  start = Timer::now();
  for (const auto& address : addresses)
    rewritten += (*router)->decide(address, WallTime{}).verdict == routing::Verdict::rewrite;
  std::printf("decide: %.0f ns (%zu rewritten)\n",
              seconds_since(start) * 1e9 / static_cast<double>(addresses.size()), rewritten);
  return 0;
}
