// One schedule: a world drawn from a seed, run through its storm, then left in peace until the
// gateway has nothing left to do.
#pragma once

#include "sim/gateway.h"
#include "sim/sender.h"

namespace waypost::sim {

struct Outcome {
  std::string wrong;  // empty: every promise was kept
  std::uint64_t hash = 0;
  Ledger::Sums sums;
  unsigned lives = 0, crashes = 0, reloads = 0;
  std::uint64_t steps = 0;
};

class World {
 public:
  World(std::uint64_t seed, Journal::Mode mode);
  ~World();
  Outcome run();

 private:
  enum class Act : std::uint8_t { storm, calm, last_stop, over };
  void plan();
  void plan_some(unsigned most, void (World::*deed)());
  Duration moment();
  void tick();
  bool advance();
  void new_sender();
  void start_gateway();
  void start_later();
  void lose_power();
  void lose_power_soon();
  void stop_gateway();
  void finish_stop();
  void change_routes();
  void jump_clock();
  void move_clock(Duration by);
  void inspect();
  void spoil_disk();
  void fill_disk();
  void flush_queue();
  void give_command();
  bool let_all_go();
  WaveWord new_word(WaveVerb verb, std::string wave);
  Gateway::Said say_of_wave(WaveWord word);
  void give_wave_word();
  WallTime drawn_time();
  void name_members(WaveWord& word);
  bool settle_waves();
  queue::Selector draw_selector(bool standing);
  void calm_down();
  bool at_rest() const;
  void last_words();

  Stage stage_;
  Ledger ledger_;
  FaultDisk disk_;
  Settings settings_;
  Routes routes_;
  SimulatedConnector::Peers receivers_;
  std::vector<std::unique_ptr<Sender>> senders_;
  std::vector<Duration> arrivals_;
  std::vector<queue::Selector> suspensions_;  // that an operator may remember
  std::unique_ptr<Gateway> gateway_;
  Act act_ = Act::storm;
  SteadyTime begun_{}, rest_by_{};
  Duration storm_{};
  bool stopping_ = false, start_planned_ = false;
  unsigned handlers_until_crash_ = 0;
  std::uint64_t wave_words_ = 0;
  Outcome outcome_;
};

}  // namespace waypost::sim
