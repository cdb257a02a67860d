// Requests about the queue, as the admin API takes them. Private to app.
#pragma once

#include "waypost/admin/fields.h"
#include "waypost/queue/control.h"

#include <cstdint>
#include <string>

namespace waypost::app {

/// Where a walk through the queue goes on: {"shard":0,"from":512}; the beginning if not given.
struct QueueCursor {
  std::size_t shard = 0;
  std::uint32_t from = 0;
  bool at_begin() const { return shard == 0 && from == 0; }
};

struct QueueRequest {
  queue::Command command;  // of a reading: only its selector
  QueueCursor cursor;
};

/// GET: the selection's fields side by side, or all=true.
QueueRequest read_queue_question(admin::Fields& fields, std::size_t shards);
/// POST /v1/queue/control: verb, selector or all, dry_run, reason, next_hop.
QueueRequest read_queue_command(admin::Fields& fields, std::size_t shards);
/// POST /v1/queue/export: selector or all, reason.
QueueRequest read_queue_export(admin::Fields& fields, std::size_t shards);

}  // namespace waypost::app
