// Reading under deadlines and back-pressure, writing.
#include "inbound/session.h"

namespace waypost::inbound {
namespace {

constexpr std::chrono::seconds kWriteTime{60};
/// A session that waits for octets inside a message looks this often whether its memory is wanted.
constexpr std::chrono::seconds kStallTime{1};
/// How long a session waits for memory before it reads what its open block can take all the same:
/// if every block were held by a session that waits, nobody would ever go on.
constexpr std::chrono::seconds kMemoryPatience{1};
constexpr std::chrono::milliseconds kFirstMemoryWait{2};
constexpr std::chrono::milliseconds kLongestMemoryWait{64};

}  // namespace

bool Session::takes_content() const {
  return transaction_ && transaction_->has_content() && dialogue_.in_content();
}

bool Session::memory_is_short() const {
  return takes_content() && (transaction_->wants_flush() || door_.server.budget.exhausted());
}

net::Task<std::size_t> Session::make_room() {
  const std::size_t all = door_.buffer.size();
  if (transaction_->wants_flush()) {
    const StoragePatience patience(*this);
    auto refusal = co_await transaction_->flush(facts());
    if (refusal) {  // the rest is read and dropped
      dialogue_.refuse_content(std::move(*refusal));
      co_return all;
    }
  }
  net::Timers& timers = door_.timers();
  const SteadyTime until = timers.in(kMemoryPatience);
  std::chrono::milliseconds wait = kFirstMemoryWait;
  while (door_.server.budget.exhausted() && !cut_) {
    if (timers.now() >= until) co_return std::min(all, transaction_->room_in_block());
    const SteadyTime at = std::min(until, timers.in(wait));
    const auto slept = co_await pause_.sleep_until(at);
    if (!slept) cut_ = true;
    wait = std::min(wait * 2, kLongestMemoryWait);
  }
  co_return all;
}

SteadyTime Session::read_deadline() const {
  // A BDAT chunk that is only dropped is a long command.
  const bool in_message = transaction_ && message_deadline_ != SteadyTime{};
  if (!in_message || !dialogue_.in_content()) return command_deadline_;
  return std::min(door_.timers().in(limits().content_block), message_deadline_);
}

net::Task<std::size_t> Session::read() {
  const SteadyTime deadline = read_deadline();
  for (;;) {
    std::size_t room = door_.buffer.size();
    if (memory_is_short()) room = co_await make_room();
    if (cut_) co_return 0;
    net::IoCount count{net::IoState::want_read, 0};
    if (!stream_->drained()) count = stream_->try_read({door_.buffer.data(), room});
    if (count.state == net::IoState::done) {
      last_octet_ = door_.timers().now();
      co_return count.octets;
    }
    if (count.state == net::IoState::end_of_stream || count.state == net::IoState::failed)
      co_return 0;
    idle_ = !dialogue_.in_transaction();
    SteadyTime until = deadline;
    if (takes_content()) until = std::min(deadline, door_.timers().in(kStallTime));
    Result<> ready;
    if (count.state == net::IoState::want_write) {
      ready = co_await stream_->wait_writable(until);
    } else {
      ready = co_await stream_->wait_readable(until);
    }
    idle_ = false;
    if (ready) continue;
    if (ready.error().kind != ErrorKind::timeout || cut_) co_return 0;
    if (door_.timers().now() < deadline) continue;  // time to look at the memory
    co_await too_slow();
    co_return 0;
  }
}

net::Task<void> Session::too_slow() {
  door_.metrics.timeouts.add();
  lost_ = "the client was too slow";
  // RFC 5321 §4.5.3.2: a session that is given up hears 421.
  dialogue_.last_word(
      {421, mail::status::bad_connection, own_name() + " nothing came in time; closing"});
  co_await write_output();
}

/// What goes without waiting; the rest stays in the output. True if nothing stays.
bool Session::write_now() {
  std::string& output = dialogue_.output();
  if (output.empty()) return true;
  const iovec one{output.data(), output.size()};
  const net::IoCount count = stream_->try_write({&one, 1});
  output.erase(0, count.octets);
  return output.empty();
}

net::Task<bool> Session::write_output() {
  if (dialogue_.output().empty()) co_return true;
  // A reply is a command done: the next one has its full time.
  command_deadline_ = door_.timers().in(limits().idle);
  if (write_now()) co_return true;
  std::string rest;
  rest.swap(dialogue_.output());
  const SteadyTime deadline = door_.timers().in(kWriteTime);
  const auto written = co_await net::write_all(*stream_, std::string_view(rest), deadline);
  co_return written.has_value();
}

}  // namespace waypost::inbound
