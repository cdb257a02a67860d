// Happy eyeballs (RFC 8305 §5): several addresses of one host, and whichever answers first.
//
// ConnectRace: one race, one shard's thread. Attempts start one after the other, each `stagger`
// after the one before or as soon as that has failed, while the earlier ones still run; the first
// connection wins and the others are cancelled. The order of the addresses is the caller's affair.
#pragma once

#include "waypost/net/shard.h"
#include "waypost/net/stream.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace waypost::net {

struct RaceOptions {
  std::string source_address;  // empty: any
  Duration timeout = std::chrono::seconds(30);
  Duration stagger = std::chrono::milliseconds(250);
};

struct RaceResult {
  std::unique_ptr<Stream> stream;  // null: no address could be reached
  std::size_t winner = 0;          // index of its address
  std::vector<std::size_t> failed;
  std::vector<std::size_t> overtaken;  // began before the winner and had not answered
  Error error;                         // no stream: why the last attempt failed
};

class ConnectRace {
 public:
  ConnectRace(Shard& shard, Connector& connector, RaceOptions options);
  ~ConnectRace();
  ConnectRace(const ConnectRace&) = delete;
  ConnectRace& operator=(const ConnectRace&) = delete;
  /// REQUIRES: called once; the race, shard and connector outlive the call.
  Task<RaceResult> run(std::vector<Endpoint> addresses);
  /// Ends run() with ErrorKind::cancelled.
  void cancel();

 private:
  struct State;
  std::shared_ptr<State> state_;  // cancelled attempts end a moment after the race
};

}  // namespace waypost::net
