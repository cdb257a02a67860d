// What a message came to: numbers and the line in the log.
#include "load/connection.h"
#include "load/identity.h"

#include <algorithm>

namespace waypost::load {

void Connection::finish(Outcome outcome) {
  const SteadyTime end = now();
  const auto us =
      std::max<std::int64_t>(0, std::chrono::duration_cast<Duration>(end - due_).count());
  const auto latency = static_cast<std::uint64_t>(us);
  const auto since_start = end - context_.schedule.start_time();
  const auto second = std::chrono::duration_cast<std::chrono::seconds>(since_start).count();
  Second& slice = statistics_.second(second < 0 ? 0 : static_cast<std::uint64_t>(second));
  ++statistics_.messages;
  statistics_.recipients_accepted += outcome == Outcome::accepted ? accepted_ : 0;
  statistics_.recipients_refused +=
      outcome == Outcome::accepted ? recipients_.size() - accepted_ : recipients_.size();
  // Addresses that should not be known: to refuse them is right.
  const bool as_expected =
      outcome == Outcome::refused &&
      std::none_of(recipients_.begin(), recipients_.end(),
                   [](const Recipient& one) { return one.kind == RecipientKind::known; });
  switch (outcome) {
    case Outcome::accepted:
      ++statistics_.accepted;
      statistics_.octets += message_octets_;
      ++slice.accepted;
      slice.octets += message_octets_;
      slice.latency_sum_us += latency;
      slice.latency_max_us = std::max(slice.latency_max_us, latency);
      statistics_.phase(Phase::total).add(latency);
      statistics_.waves[wave_].recipients += accepted_;
      statistics_.waves[wave_].total.add(latency);
      context_.totals.accepted.fetch_add(1, std::memory_order_relaxed);
      context_.totals.octets.fetch_add(message_octets_, std::memory_order_relaxed);
      context_.totals.successes.fetch_add(1, std::memory_order_relaxed);
      break;
    case Outcome::refused:
      ++statistics_.refused;
      statistics_.refused_as_expected += as_expected ? 1 : 0;
      slice.refused_as_expected += as_expected ? 1 : 0;
      break;
    case Outcome::unacknowledged:
      ++statistics_.unacknowledged;
      break;
    case Outcome::unsent:
      ++statistics_.unsent;
      break;
  }
  if (outcome != Outcome::accepted) {
    slice.failed += as_expected ? 0 : 1;
    context_.totals.failed.fetch_add(1, std::memory_order_relaxed);
  }
  if (context_.journal != nullptr) log_message(outcome, end);
}

void Connection::log_message(Outcome outcome, SteadyTime end) {
  const Duration at = Clock::system().now().time_since_epoch();
  const auto latency = std::chrono::duration_cast<Duration>(end - due_);
  const auto positive = [](Duration d) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(0, d.count()));
  };
  line_ = "M";
  add_field(line_, slot_.sequence);
  add_field(line_, positive(at));
  add_field(line_, positive(latency));
  add_field(line_, message_octets_);
  add_field(line_, hex(digest_));
  line_ += '\t';
  line_ += static_cast<char>(outcome);
  add_field(line_, static_cast<std::uint64_t>(code_));
  add_field(line_, queue_id_.empty() ? std::string_view("-") : std::string_view(queue_id_));
  for (std::size_t i = 0; i < recipients_.size(); ++i) {
    const Recipient& one = recipients_[i];
    line_ += '\t';
    line_ += fates_[i];
    line_ += dsn_ && one.group_member ? kGroupMember : letter(one.kind);
    add_field(line_, one.address);
    add_field(line_,
              one.expected == one.address ? std::string_view("=") : std::string_view(one.expected));
  }
  line_ += '\n';
  context_.journal->write(line_);
}

}  // namespace waypost::load
