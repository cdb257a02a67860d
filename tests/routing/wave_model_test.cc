// The rules of docs/waves.md told a second time, without changes, bases and replay: whole lives of
// a wave with words, schedules, edits of the configuration and clocks that are set, against Waves.
#include "routing/routing_fixture.h"

#include <random>

namespace waypost::routing {
namespace {

using std::chrono::minutes;

constexpr WallTime kNoon{std::chrono::seconds(1'796'126'400)};

/// Asked of every rule at once, from what has happened in its order.
class Model {
 public:
  WaveConfigured config;

  EntryState state(WallTime clock) const {
    EntryState holds = word_ ? *word_ : config.state.value_or(EntryState::pending);
    // Of what has fallen due the latest counts; of one time what was said last, a word of an
    // operator's after the configuration's.
    std::optional<WallTime> latest;
    const auto consider = [&](WallTime at, EntryState to) {
      if (at > clock || (latest && at < *latest)) return;
      latest = at;
      holds = to;
    };
    if (config.hold_at && is_live(*config.hold_at, &WaveConfigured::hold_at))
      consider(*config.hold_at, EntryState::migrating);
    if (config.activate_at && is_live(*config.activate_at, &WaveConfigured::activate_at))
      consider(*config.activate_at, EntryState::active);
    for (const auto& [at, to] : scheduled_) consider(at, to);
    return holds;
  }

  void say(WaveCommand& command) {
    command.configured = config;
    if (command.verb == WaveVerb::cancel) command.holds = state(command.said_at);
    const auto to = command.verb == WaveVerb::cancel ? command.holds : state_after(command.verb);
    if (command.at && *command.at > command.said_at) {
      scheduled_.emplace_back(*command.at, *to);
      return;
    }
    word_ = to;
    scheduled_.clear();
    words_.emplace_back(command.said_at, config);
  }

 private:
  /// No word has seen it, and it was not over when one was said.
  bool is_live(WallTime at, std::optional<WallTime> WaveConfigured::* kind) const {
    for (const auto& [clock, seen] : words_)
      if (seen.*kind == at || at <= clock) return false;
    return true;
  }

  std::optional<EntryState> word_;
  std::vector<std::pair<WallTime, EntryState>> scheduled_;
  std::vector<std::pair<WallTime, WaveConfigured>> words_;
};

class Life {
 public:
  explicit Life(std::uint64_t seed) : random_(seed) {}

  void run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      step();
      look(i);
    }
  }

 private:
  std::uint64_t draw(std::uint64_t below) { return random_() % below; }
  /// On a coarse grid, so that times meet.
  WallTime near() { return clock_ + minutes(5 * (static_cast<int>(draw(25)) - 8)); }

  void step() {
    switch (draw(5)) {
      case 0:
        clock_ += minutes(5 * draw(12));
        return;
      case 1:  // corrected
        clock_ = near();
        return;
      case 2: {
        auto& config = model_.config;
        config.hold_at = draw(2) == 0 ? std::optional(near()) : std::nullopt;
        config.activate_at = draw(2) == 0 ? std::optional(near()) : std::nullopt;
        return;
      }
      default:
        break;
    }
    constexpr WaveVerb kVerbs[] = {WaveVerb::hold, WaveVerb::activate, WaveVerb::rollback,
                                   WaveVerb::reset, WaveVerb::cancel};
    WaveCommand command;
    command.verb = kVerbs[draw(5)];
    command.wave = "w";
    command.said_at = clock_;
    command.by = "root (uid 0)";
    if (command.verb != WaveVerb::cancel && draw(2) == 0) command.at = near();
    model_.say(command);
    // As the next start reads it.
    auto read = wave_command_from_json(to_json(command));
    ASSERT_TRUE(read);
    commands_.push_back(std::move(*read));
  }

  void look(int i) {
    WaveOptions options;
    options.name = "w";
    options.hold_at = model_.config.hold_at;
    options.activate_at = model_.config.activate_at;
    const auto waves = Waves::make({options}, commands_);
    for (const auto at : {clock_, clock_ + minutes(15), clock_ + minutes(40), clock_ + minutes(200),
                          clock_ - minutes(30)})
      ASSERT_EQ(to_string(waves->find("w")->state_at(at)), to_string(model_.state(at)))
          << "step " << i << ", " << (at - clock_) / minutes(1) << " min from the clock";
    // What is told to come is what comes.
    const auto next = waves->next_change_after(clock_);
    if (next) {
      ASSERT_EQ(to_string(waves->find("w")->next_after(clock_)->to),
                to_string(model_.state(*next)));
    }
  }

  std::mt19937_64 random_;
  WallTime clock_ = kNoon;
  Model model_;
  std::vector<WaveCommand> commands_;
};

TEST(WaveModel, AnyLifeOfAWaveIsAsItsRulesSay) {
  for (std::uint64_t seed = 1; seed <= 300 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Life(seed).run(40);
  }
}

}  // namespace
}  // namespace waypost::routing
