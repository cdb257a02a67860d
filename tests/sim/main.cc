// waypost-sim: runs schedules, each drawn from one seed. See README.md here.
#include "waypost/ops/log.h"

#include "sim/world.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <random>

namespace waypost::sim {
namespace {

/// Seeds that once showed a bug. Always run.
constexpr std::uint64_t kOnceWrong[] = {
    55,        834,       32256,     32309,     44235,     46334,     72803,
    78371,     908536,    909539,    914339,    2052572,   2058696,   334512320,
    460394185, 414338415, 521913391, 570169000, 662181822, 710609946, 787567831};

struct Arguments {
  std::uint64_t seed = 0, count = 1;
  bool seed_given = false, verbose = false, twice = false, old_seeds = true;
};

int usage() {
  fmt::print(stderr,
             "usage: waypost-sim [--seed N] [--count K] [--verbose] [--twice] [--no-old-seeds]\n"
             "  --seed N   the first seed; without it a fresh one, which is printed\n"
             "  --count K  so many schedules, with seeds N, N+1, ... (default 1)\n"
             "  --verbose  every event of each schedule\n"
             "  --twice    runs each seed twice and compares: the proof that it replays\n");
  return 2;
}

bool parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const bool number = (word == "--seed" || word == "--count") && i + 1 < argc;
    if (word == "--verbose") {
      arguments.verbose = true;
    } else if (word == "--twice") {
      arguments.twice = true;
    } else if (word == "--no-old-seeds") {
      arguments.old_seeds = false;
    } else if (number) {
      char* end = nullptr;
      (word == "--seed" ? arguments.seed : arguments.count) = std::strtoull(argv[++i], &end, 10);
      arguments.seed_given = arguments.seed_given || word == "--seed";
      if (*end != '\0') return false;
    } else {
      return false;
    }
  }
  return true;
}

struct Totals {
  std::uint64_t schedules = 0, wrong = 0, letters = 0, recipients = 0, copies = 0, doubled = 0,
                failed = 0, reports = 0, bounced = 0, deleted = 0, held = 0, rerouted = 0,
                wave_words = 0, wave_words_in_vain = 0, wave_schedules_due = 0, lives = 0,
                crashes = 0, reloads = 0, steps = 0, hash = 0;
  void add(const Outcome& outcome) {
    ++schedules;
    wrong += !outcome.wrong.empty();
    letters += outcome.sums.letters;
    recipients += outcome.sums.recipients;
    copies += outcome.sums.copies;
    doubled += outcome.sums.doubled;
    failed += outcome.sums.failed;
    reports += outcome.sums.reports;
    bounced += outcome.sums.bounced;
    deleted += outcome.sums.deleted;
    held += outcome.sums.held;
    rerouted += outcome.sums.rerouted;
    wave_words += outcome.sums.wave_words;
    wave_words_in_vain += outcome.sums.wave_words_in_vain;
    wave_schedules_due += outcome.sums.wave_schedules_due;
    lives += outcome.lives;
    crashes += outcome.crashes;
    reloads += outcome.reloads;
    steps += outcome.steps;
    hash = hash * 31 + outcome.hash;
  }
};

void run_one(std::uint64_t seed, const Arguments& arguments, Totals& totals) {
  auto mode = arguments.twice ? Journal::Mode::hash : Journal::Mode::off;
  if (arguments.verbose) mode = Journal::Mode::show;
  Outcome outcome = World(seed, mode).run();
  if (arguments.twice && outcome.wrong.empty()) {
    const Outcome again = World(seed, Journal::Mode::hash).run();
    if (again.hash != outcome.hash || again.steps != outcome.steps)
      outcome.wrong = "the seed does not replay";
  }
  totals.add(outcome);
  if (outcome.wrong.empty()) return;
  fmt::print(
      "seed {}: {}\n  again, with every event: waypost-sim --no-old-seeds --seed {} --verbose\n",
      seed, outcome.wrong, seed);
  std::fflush(stdout);
}

int run(const Arguments& arguments) {
  const auto begun = std::chrono::steady_clock::now();
  ops::log().set_level(spdlog::level::off);
  Totals totals;
  if (arguments.old_seeds) {
    for (const std::uint64_t seed : kOnceWrong) run_one(seed, arguments, totals);
  }
  fmt::print("seeds {} to {}\n", arguments.seed, arguments.seed + arguments.count - 1);
  std::fflush(stdout);
  constexpr std::uint64_t kEnough = 20;
  for (std::uint64_t i = 0; i < arguments.count && totals.wrong < kEnough; ++i)
    run_one(arguments.seed + i, arguments, totals);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  fmt::print(
      "{} schedules in {:.1f} s, {:.2f} ms each: {} lives, {} crashes, {} reloads, {} steps\n"
      "{} letters and {} reports stored for {} recipients; {} copies taken, {} recipients doubled, "
      "{} failed\noperators held {} recipients, rerouted {}, bounced {}, deleted {}\n"
      "and said {} words of waves, {} in vain; {} times in schedules came\n{} schedules broke a "
      "promise\n",
      totals.schedules, took.count(), 1000 * took.count() / static_cast<double>(totals.schedules),
      totals.lives, totals.crashes, totals.reloads, totals.steps, totals.letters, totals.reports,
      totals.recipients, totals.copies, totals.doubled, totals.failed, totals.held, totals.rerouted,
      totals.bounced, totals.deleted, totals.wave_words, totals.wave_words_in_vain,
      totals.wave_schedules_due, totals.wrong);
  if (arguments.twice) fmt::print("hash of all events: {:016x}\n", totals.hash);
  return totals.wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace waypost::sim

int main(int argc, char** argv) {
  waypost::sim::Arguments arguments;
  if (!waypost::sim::parse(argc, argv, arguments)) return waypost::sim::usage();
  // Small enough to be typed.
  if (!arguments.seed_given) arguments.seed = std::random_device()() % 1'000'000'000;
  return waypost::sim::run(arguments);
}
