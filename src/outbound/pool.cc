// Connections that wait for their next message, and when that may be.
#include "outbound/smtp_deliverer.h"

namespace waypost::outbound {

/// Waits for this message's place in the pace. False if the wait was cut short by cancel().
net::Task<bool> SmtpDeliverer::wait_turn() {
  if (options_.max_messages_per_second == 0 || cancelled_) co_return !cancelled_;
  const SteadyTime turn =
      pace_->reserve(context_.shard.timers.now(), options_.max_messages_per_second);
  if (turn <= context_.shard.timers.now()) co_return true;
  metrics_.paced.add();
  net::Timers::Sleeper sleeper(context_.shard.timers);
  paced_.push_back(&sleeper);
  const auto slept = co_await sleeper.sleep_until(turn);
  std::erase(paced_, &sleeper);
  co_return slept && !cancelled_;
}

/// RFC 9422 §4.1: a server may want fewer than we would send.
std::uint32_t SmtpDeliverer::most_messages(const Connection& connection) const {
  const std::uint32_t wanted = connection.dialogue().capabilities().mail_max;
  const std::uint32_t ours = options_.max_messages_per_connection;
  return wanted == 0 ? ours : std::min(ours, wanted);
}

/// With mx_of_recipient each domain has limits of its own.
std::uint32_t SmtpDeliverer::recipients_at_once() const {
  std::uint32_t most = std::max(1u, options_.max_recipients);
  if (options_.mx_of_recipient) return most;
  if (rcpt_max_ != 0) most = std::min(most, rcpt_max_);
  const bool learned = learned_max_ != 0 && context_.shard.timers.now() < learned_until_;
  return learned ? std::min(most, learned_max_) : most;
}

net::Task<Opened> SmtpDeliverer::connect(std::string domain, bool fresh) {
  auto& pool = idle_[pool_key(mail::ascii_lower(domain))];
  while (!fresh && !pool.empty()) {
    auto connection = std::move(pool.back());
    pool.pop_back();
    connection->idle_deadline().disarm();
    if (!connection->still_silent()) {
      connection->quit();
      continue;
    }
    metrics_.reused.add();
    Opened opened;
    opened.remote_host = connection->remote_host();
    opened.connection = std::move(connection);
    opened.reused = true;
    co_return opened;
  }
  co_return co_await connect_fresh(std::move(domain));
}

/// With mx_of_recipient there is a pool for each domain, and most are never asked for again.
void SmtpDeliverer::sweep_idle() {
  const SteadyTime present = context_.shard.timers.now();
  if (present < sweep_at_) return;
  sweep_at_ = present + options_.idle_connection;
  for (auto pool = idle_.begin(); pool != idle_.end();) {
    std::erase_if(pool->second, [](const auto& connection) { return !connection->reusable(); });
    pool = pool->second.empty() ? idle_.erase(pool) : std::next(pool);
  }
}

void SmtpDeliverer::put_back(std::shared_ptr<Connection> connection) {
  sweep_idle();
  const bool used_up = connection->messages() >= most_messages(*connection) ||
                       options_.idle_connection <= Duration::zero();
  if (cancelled_ || used_up || !connection->reusable()) {
    connection->quit();
    return;
  }
  connection->idle_deadline().arm(context_.shard.timers.in(options_.idle_connection),
                                  &SmtpDeliverer::on_idle_expired, connection.get());
  idle_[connection->pool_key].push_back(std::move(connection));
}

/// The connection stays in the pool, closed; the next one who looks throws it away.
void SmtpDeliverer::on_idle_expired(void* argument) { static_cast<Connection*>(argument)->quit(); }

}  // namespace waypost::outbound
