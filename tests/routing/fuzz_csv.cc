// Any octets as a table: read, built, listed, and every entry decided with and without a trace.
#include "waypost/routing/router.h"
#include "waypost/routing/unseen.h"

#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace waypost;
  const std::string_view content(reinterpret_cast<const char*>(data), size);
  routing::TableBuilder builder;
  // Once more behind itself: of every address the earlier source's entry stays.
  builder.begin_source();
  builder.add_csv("fuzz.csv", content);
  builder.begin_source({"later", routing::EntryState::pending});
  builder.add_csv("again.csv", content);
  const auto table = builder.build();
  for (const auto& problem : builder.problems())
    if (problem.message.empty() || problem.to_string().empty()) std::abort();
  routing::Options options;
  options.own_domains = {"corp.example"};
  options.default_next_hop = "any";
  routing::TableSource source;
  source.kind = routing::TableSource::Kind::inline_yaml;
  source.entries = table->entries();
  if (source.entries.size() != table->size()) std::abort();
  options.sources.push_back(source);
  std::vector<routing::Problem> problems;
  const auto loaded = routing::Router::load(options, problems);
  const auto router = loaded ? *loaded : routing::Router::unavailable(options, "fuzzed");
  for (const auto& entry : source.entries) {
    const auto key = routing::normalise_key(entry.address);
    const auto target = routing::normalise_key(entry.target);
    if (routing::first_unseen(entry.address.local_part) || routing::first_unseen(entry.wave))
      std::abort();
    if (!key || !target || !table->find(*key) || !table->find_target(*target)) std::abort();
    for (const auto& copy : entry.copies) {
      const auto copy_key = routing::normalise_key(copy);
      if (!copy_key || !table->find_target(*copy_key)) std::abort();
    }
    std::vector<routing::TraceStep> trace;
    const auto one = router->decide(entry.address, WallTime{}, &trace);
    const auto other = router->decide(entry.address, WallTime{});
    if (one.verdict != other.verdict || one.target != other.target || trace.empty()) std::abort();
    const bool moving =
        one.verdict == routing::Verdict::rewrite || one.verdict == routing::Verdict::hold;
    if (loaded && one.copies.size() != (moving ? entry.copies.size() : 0)) std::abort();
    if (one.copies.size() >= routing::kMaxTargets) std::abort();
    for (const char c : one.reply.text)
      if (static_cast<unsigned char>(c) < 0x20 && c != '\n') std::abort();
  }
  return 0;
}
