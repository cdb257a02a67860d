// Properties that hold for every table and every address.
#include "routing/routing_fixture.h"

#include <random>

namespace waypost::routing {
namespace {

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}
  std::size_t below(std::size_t n) { return random_() % n; }
  template <std::size_t N>
  std::string one_of(const char* const (&words)[N]) {
    return words[below(N)];
  }
  std::string local() {
    return one_of({"a", "B", "a+x", "a+", "+a", "c.d", "a b", "x@y", "IMCEAEX-_o=x+20y",
                   "postmaster", "jörg", "ß", "a+x+y", "\"", "A"});
  }
  std::string domain() {
    return one_of({"corp.example", "CORP.example", "old.example", "t.example", "u.example",
                   "else.example", "büro.example", "xn--bro-hoa.example", "[192.0.2.1]", "a..b",
                   "corp.example."});
  }
  mail::Mailbox address() {
    if (below(30) == 0) return {"postmaster", ""};
    return {local(), domain()};
  }
  Options options() {
    Options out;
    out.own_domains = {"corp.example", "büro.example"};
    if (below(2)) out.domain_aliases = {{"old.example", "corp.example"}};
    out.target_domains = {{"t.example", "first"}, {"u.example", "second"}};
    out.target_pass_unlisted = below(2);
    out.plus_separator = one_of({"+", "", "-", "+x"});
    out.plus_keep_in_target = below(2);
    if (below(2)) out.default_next_hop = "default";
    if (below(2)) out.pending_next_hop = "pending";
    out.unknown = below(2) ? UnknownPolicy::refuse : UnknownPolicy::defer;
    std::map<std::string, Entry> unique;
    for (std::size_t i = below(12); i > 0; --i) {
      Entry item{{local(), one_of({"corp.example", "old.example", "BÜRO.example"})},
                 {local(), one_of({"t.example", "U.example"})},
                 EntryState(below(4)),
                 true,
                 below(2) ? "w" : "",
                 {},
                 {"p.csv", static_cast<std::uint32_t>(i)}};
      const auto key = normalise_key(item.address);
      if (key) unique.try_emplace(*key, item);
    }
    out.sources.push_back(migration({}).sources.front());
    for (auto& [key, item] : unique) out.sources[0].entries.push_back(item);
    return out;
  }

 private:
  std::mt19937_64 random_;
};

void expect_same(const Decision& one, const Decision& other) {
  EXPECT_EQ(one.verdict, other.verdict);
  EXPECT_EQ(one.original, other.original);
  EXPECT_EQ(one.target, other.target);
  EXPECT_EQ(one.next_hop, other.next_hop);
  EXPECT_EQ(one.state, other.state);
  EXPECT_EQ(one.wave, other.wave);
  EXPECT_EQ(one.place.to_string(), other.place.to_string());
  EXPECT_EQ(one.why, other.why);
  EXPECT_EQ(one.reply.code, other.reply.code);
  EXPECT_EQ(one.reply.status, other.reply.status);
  EXPECT_EQ(one.reply.text, other.reply.text);
}

void check(const Router& router, const mail::Mailbox& address, bool available) {
  std::vector<TraceStep> trace;
  const auto decision = router.decide(address, WallTime{}, &trace);
  expect_same(decision, router.decide(address, WallTime{}));
  EXPECT_FALSE(trace.empty());
  EXPECT_FALSE(decision.why.empty());
  EXPECT_EQ(decision.original, address);
  const bool leaves = decision.verdict == Verdict::rewrite || decision.verdict == Verdict::pass ||
                      decision.verdict == Verdict::hold;
  EXPECT_EQ(leaves, !decision.next_hop.empty());
  EXPECT_EQ(leaves, decision.reply.code == 250);
  EXPECT_EQ(decision.verdict == Verdict::refuse, decision.reply.permanent());
  EXPECT_EQ(decision.verdict == Verdict::defer, decision.reply.transient());
  const auto domain = normalise_domain(address.domain);
  const bool own = domain && (*domain == "corp.example" || *domain == "xn--bro-hoa.example");
  // Own-domain mail leaves for a target or for pending_next_hop, never for the default.
  if (own && leaves) {
    EXPECT_NE(decision.next_hop, "default");
  }
  if (own && !available) {
    EXPECT_EQ(decision.reply.code, 451);
  }
  // Never rewritten twice: a rewritten address has a target domain, and asked again it passes.
  if (decision.verdict == Verdict::rewrite) {
    const auto again = router.decide(decision.target, WallTime{});
    EXPECT_NE(again.verdict, Verdict::rewrite);
    EXPECT_NE(again.verdict, Verdict::defer);
    if (again.verdict == Verdict::pass) {
      EXPECT_EQ(again.target, decision.target);
    }
  }
  if (decision.verdict == Verdict::pass && !address.domain.empty()) {
    EXPECT_EQ(decision.target, address);
  }
}

TEST(DecisionProperties, HoldForRandomTablesAndAddresses) {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Generator generator(seed);
    const auto options = generator.options();
    const auto router = router_of(options);
    const auto without = Router::unavailable(options, "gone");
    for (int i = 0; i < 60; ++i) {
      const auto address = generator.address();
      SCOPED_TRACE(address.local_part + " @ " + address.domain);
      check(*router, address, true);
      check(*without, address, false);
    }
    if (HasFailure()) return;
  }
}

TEST(DecisionProperties, LetterCaseOfAsciiNeverMattersForTheVerdict) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Generator generator(seed);
    const auto options = generator.options();
    const auto router = router_of(options);
    for (int i = 0; i < 40; ++i) {
      const auto address = generator.address();
      const mail::Mailbox lower{mail::ascii_lower(address.local_part),
                                mail::ascii_lower(address.domain)};
      const auto one = router->decide(address, WallTime{}),
                 other = router->decide(lower, WallTime{});
      ASSERT_EQ(one.verdict, other.verdict) << "seed " << seed << " " << address.to_string();
      ASSERT_EQ(one.next_hop, other.next_hop);
      ASSERT_EQ(one.place.to_string(), other.place.to_string());
    }
  }
}

}  // namespace
}  // namespace waypost::routing
