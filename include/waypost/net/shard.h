// One core's worth of Waypost: a thread, its io_context and its timers.
#pragma once

#include "waypost/net/task.h"
#include "waypost/net/timers.h"

#include <atomic>
#include <cstdint>

namespace waypost::net {

struct Shard {
  Shard(unsigned index_, const Clock& clock) : index(index_), io(1), timers(clock, io) {}
  unsigned index;
  boost::asio::io_context io;
  Timers timers;
  std::atomic<std::uint32_t> sessions{0};  // inbound sessions, read by whoever deals out new ones
};

}  // namespace waypost::net
