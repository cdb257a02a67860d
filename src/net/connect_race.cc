#include "waypost/net/connect_race.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <deque>
#include <optional>

namespace waypost::net {
namespace {

namespace asio = boost::asio;

struct Attempt {
  asio::cancellation_signal cancel;
  bool ended = false;
};

}  // namespace

struct ConnectRace::State {
  State(Shard& shard_, Connector& connector_, RaceOptions options_)
      : shard(shard_),
        connector(connector_),
        options(std::move(options_)),
        changed(shard_.timers) {}

  struct Presence;
  static Task<void> connect(std::shared_ptr<State> state, std::size_t index, Endpoint to);
  static void start(const std::shared_ptr<State>& state, std::size_t index, Endpoint to);
  void came(std::size_t index, Result<std::unique_ptr<Stream>> connected);
  void end(std::size_t index);
  void cancel_attempts();

  Shard& shard;
  Connector& connector;
  RaceOptions options;
  Timers::Sleeper changed;
  std::deque<Attempt> attempts;  // signals can't be moved
  std::size_t running = 0;
  std::unique_ptr<Stream> stream;
  std::size_t winner = 0;
  std::vector<std::size_t> failed;
  Error error{ErrorKind::network, "no address to connect to"};
  bool next_at_once = true;
  bool over = false;       // what comes now is too late
  bool cancelled = false;  // by cancel()
};

struct ConnectRace::State::Presence {
  ~Presence() { state.attempts[index].ended = true; }
  State& state;
  std::size_t index;
};

Task<void> ConnectRace::State::connect(std::shared_ptr<State> state, std::size_t index,
                                       Endpoint to) {
  // When frames are destroyed with their io_context nothing is left to be cancelled.
  const Presence presence{*state, index};
  const SteadyTime until = state->shard.timers.in(state->options.timeout);
  std::string source = state->options.source_address;
  auto connected = co_await state->connector.connect(std::move(to), std::move(source), until);
  state->came(index, std::move(connected));
}

void ConnectRace::State::start(const std::shared_ptr<State>& state, std::size_t index,
                               Endpoint to) {
  Attempt& attempt = state->attempts.emplace_back();
  ++state->running;
  state->next_at_once = false;
  // A cancelled attempt may end by an exception of Asio's, which is one more way of not connecting.
  const auto ended = [state, index](std::exception_ptr) { state->end(index); };
  asio::co_spawn(state->shard.io, connect(state, index, std::move(to)),
                 asio::bind_cancellation_slot(attempt.cancel.slot(), ended));
}

void ConnectRace::State::came(std::size_t index, Result<std::unique_ptr<Stream>> connected) {
  if (over) {
    if (connected) (*connected)->close();
    return;
  }
  if (connected) {
    over = true;
    stream = std::move(*connected);
    winner = index;
  } else {
    failed.push_back(index);
    error = std::move(connected).error();
    next_at_once = true;
  }
}

void ConnectRace::State::end(std::size_t index) {
  attempts[index].ended = true;
  --running;
  changed.wake();
}

void ConnectRace::State::cancel_attempts() {
  over = true;
  for (Attempt& attempt : attempts) {
    if (!attempt.ended) attempt.cancel.emit(asio::cancellation_type::terminal);
  }
}

ConnectRace::ConnectRace(Shard& shard, Connector& connector, RaceOptions options)
    : state_(std::make_shared<State>(shard, connector, std::move(options))) {}

ConnectRace::~ConnectRace() { state_->cancel_attempts(); }

Task<RaceResult> ConnectRace::run(std::vector<Endpoint> addresses) {
  const auto state = state_;
  SteadyTime next_start = state->shard.timers.now();
  while (!state->over) {
    const bool more = state->attempts.size() < addresses.size();
    const SteadyTime present = state->shard.timers.now();
    if (more && (state->next_at_once || present >= next_start)) {
      next_start = present + state->options.stagger;
      const std::size_t index = state->attempts.size();
      State::start(state, index, addresses[index]);
      continue;
    }
    if (!more && state->running == 0) break;
    const SteadyTime until = more ? next_start : SteadyTime::max();
    const auto slept = co_await state->changed.sleep_until(until);
    if (!slept) state->cancelled = state->over = true;
  }
  RaceResult result;
  if (state->cancelled) {
    result.error = {ErrorKind::cancelled, "shutting down"};
  } else {
    result.stream = std::move(state->stream);
    result.winner = state->winner;
    result.failed = state->failed;
    result.error = state->error;
    for (std::size_t i = 0; result.stream && i < state->winner; ++i) {
      if (!state->attempts[i].ended) result.overtaken.push_back(i);
    }
  }
  state->cancel_attempts();
  co_return result;
}

void ConnectRace::cancel() {
  state_->cancelled = state_->over = true;
  state_->changed.wake();
}

}  // namespace waypost::net
