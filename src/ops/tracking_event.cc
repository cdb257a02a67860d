#include "waypost/ops/tracking.h"

#include "ops/json_text.h"

namespace waypost::ops {
namespace {

class Line {
 public:
  explicit Line(std::string& out) : out_(out) {}
  void text(std::string_view name, std::string_view value) {
    if (value.empty()) return;
    key(name);
    append_json_string(out_, value);
  }
  void number(std::string_view name, std::int64_t value) {
    key(name);
    append_number(out_, value);
  }
  void time(std::string_view name, WallTime value) {
    key(name);
    append_json_time(out_, value);
  }

 private:
  void key(std::string_view name) {
    out_ += first_ ? "{\"" : ",\"";
    first_ = false;
    out_ += name;
    out_ += "\":";
  }
  std::string& out_;
  bool first_ = true;
};

}  // namespace

std::string_view to_string(TrackingKind kind) {
  switch (kind) {
    case TrackingKind::received:
      return "received";
    case TrackingKind::routed:
      return "routed";
    case TrackingKind::refused:
      return "refused";
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

std::string to_json_line(const TrackingEvent& event) {
  std::string out;
  out.reserve(512);
  Line line(out);
  line.time("time", event.at);
  line.text("event", to_string(event.kind));
  if (event.queue_id.value != 0) line.text("queue_id", event.queue_id.to_string());
  line.text("message_id", event.message_id);
  line.text("sender", event.sender);
  line.text("rewritten_sender", event.rewritten_sender);
  line.text("recipient", event.recipient);
  line.text("target", event.target);
  line.text("next_hop", event.next_hop);
  line.text("wave", event.wave);
  line.text("shadow_target", event.shadow_target);
  line.text("shadow_next_hop", event.shadow_next_hop);
  line.text("remote_host", event.remote_host);
  line.text("client", event.client);
  line.text("tls", event.tls);
  line.text("reply", event.reply);
  line.text("status", event.status);
  line.text("why", event.why);
  line.text("by", event.by);
  line.text("action", event.action);
  line.text("original_queue_id", event.original_queue_id);
  if (event.size != 0) line.number("size", static_cast<std::int64_t>(event.size));
  if (event.recipients != 0) line.number("recipients", event.recipients);
  if (event.attempt != 0) line.number("attempt", event.attempt);
  if (event.delay_us >= 0) line.number("delay_us", event.delay_us);
  if (event.took_us >= 0) line.number("took_us", event.took_us);
  if (event.next_attempt != WallTime{}) line.time("next_attempt", event.next_attempt);
  out += '}';
  return out;
}

}  // namespace waypost::ops
