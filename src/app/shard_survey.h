// One question to all shards at once, whose answers are waited for together and not for long: a
// shard that hangs is named, and keeps nobody.
#pragma once

#include "waypost/queue/queue.h"

#include "app/gateway_shard.h"

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace waypost::app {

/// By shard; nullopt: it did not answer in time.
using QueueSurvey = std::vector<std::optional<queue::QueueStats>>;

/// `done` is called once, on `io`'s thread, which calls this too.
void survey_queues(const std::vector<std::unique_ptr<GatewayShard>>& shards,
                   boost::asio::io_context& io, std::chrono::milliseconds patience,
                   std::function<void(const QueueSurvey&)> done);

/// The same and wait: for a thread that may.
QueueSurvey survey_queues_now(const std::vector<std::unique_ptr<GatewayShard>>& shards,
                              std::chrono::milliseconds patience);

std::vector<std::size_t> silent_shards(const QueueSurvey& survey);

}  // namespace waypost::app
