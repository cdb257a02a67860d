#include "waypost/ops/tracking.h"

#include "ops/json_text.h"

#include <cstring>

namespace waypost::ops {
namespace {

/// Keys are given as they stand in the line: `,"name":`; the first one is the time.
class Line {
 public:
  explicit Line(char* at) : at_(at) {}
  void text(std::string_view key, std::string_view value) {
    if (value.empty()) return;
    raw(key);
    at_ = write_json_string(at_, value);
  }
  void number(std::string_view key, std::int64_t value) {
    raw(key);
    at_ = write_number(at_, value);
  }
  void time(std::string_view key, WallTime value) {
    raw(key);
    at_ = write_json_time(at_, value);
  }
  void raw(std::string_view octets) {
    std::memcpy(at_, octets.data(), octets.size());
    at_ += octets.size();
  }
  char* end() const { return at_; }

 private:
  char* at_;
};

/// For all keys, numbers, times and the queue id.
constexpr std::size_t kFixedRoom = 1024;

std::size_t room_for(const TrackingEvent& event) {
  std::size_t room = kFixedRoom;
  for (const std::string_view value :
       {event.message_id, event.sender, event.rewritten_sender, event.recipient, event.target,
        event.next_hop, event.wave, event.shadow_target, event.shadow_next_hop, event.remote_host,
        event.client, event.tls, event.reply, event.status, event.why, event.by, event.action,
        event.original_queue_id}) {
    room += json_room(value);
  }
  return room;
}

char* write_line(char* at, const TrackingEvent& event) {
  Line line(at);
  line.time("{\"time\":", event.at);
  line.text(",\"event\":", to_string(event.kind));
  if (event.queue_id.value != 0) line.text(",\"queue_id\":", event.queue_id.to_string());
  line.text(",\"message_id\":", event.message_id);
  line.text(",\"sender\":", event.sender);
  line.text(",\"rewritten_sender\":", event.rewritten_sender);
  line.text(",\"recipient\":", event.recipient);
  line.text(",\"target\":", event.target);
  line.text(",\"next_hop\":", event.next_hop);
  line.text(",\"wave\":", event.wave);
  line.text(",\"shadow_target\":", event.shadow_target);
  line.text(",\"shadow_next_hop\":", event.shadow_next_hop);
  line.text(",\"remote_host\":", event.remote_host);
  line.text(",\"client\":", event.client);
  line.text(",\"tls\":", event.tls);
  line.text(",\"reply\":", event.reply);
  line.text(",\"status\":", event.status);
  line.text(",\"why\":", event.why);
  line.text(",\"by\":", event.by);
  line.text(",\"action\":", event.action);
  line.text(",\"original_queue_id\":", event.original_queue_id);
  if (event.size != 0) line.number(",\"size\":", static_cast<std::int64_t>(event.size));
  if (event.recipients != 0) line.number(",\"recipients\":", event.recipients);
  if (event.attempt != 0) line.number(",\"attempt\":", event.attempt);
  if (event.delay_us >= 0) line.number(",\"delay_us\":", event.delay_us);
  if (event.took_us >= 0) line.number(",\"took_us\":", event.took_us);
  if (event.next_attempt != WallTime{}) line.time(",\"next_attempt\":", event.next_attempt);
  line.raw("}");
  return line.end();
}

}  // namespace

std::string_view to_string(TrackingKind kind) {
  switch (kind) {
    case TrackingKind::received:
      return "received";
    case TrackingKind::routed:
      return "routed";
    case TrackingKind::refused:
      return "refused";
    case TrackingKind::abandoned:
      return "abandoned";
    case TrackingKind::delivered:
      return "delivered";
    case TrackingKind::deferred:
      return "deferred";
    case TrackingKind::failed:
      return "failed";
    case TrackingKind::reported:
      return "reported";
    case TrackingKind::held:
      return "held";
    case TrackingKind::released:
      return "released";
    case TrackingKind::requeued:
      return "requeued";
    case TrackingKind::control:
      return "control";
  }
  return "unknown";
}

void append_json_line(std::string& out, const TrackingEvent& event) {
  append_bounded(out, room_for(event), [&](char* at) { return write_line(at, event); });
}

std::string to_json_line(const TrackingEvent& event) {
  std::string out;
  append_json_line(out, event);
  return out;
}

}  // namespace waypost::ops
