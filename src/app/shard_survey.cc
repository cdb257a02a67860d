#include "app/shard_survey.h"

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/post.hpp>

namespace waypost::app {
namespace asio = boost::asio;
namespace {

struct Survey {
  explicit Survey(asio::io_context& io) : patience(io) {}
  void end() {
    patience.cancel();
    if (done) std::exchange(done, nullptr)(answers);
  }
  QueueSurvey answers;
  std::size_t missing = 0;
  asio::basic_waitable_timer<std::chrono::steady_clock> patience;
  std::function<void(const QueueSurvey&)> done;  // null: it has ended
};

}  // namespace

void survey_queues(const std::vector<std::unique_ptr<GatewayShard>>& shards, asio::io_context& io,
                   std::chrono::milliseconds patience,
                   std::function<void(const QueueSurvey&)> done) {
  auto survey = std::make_shared<Survey>(io);
  survey->answers.resize(shards.size());
  survey->missing = shards.size();
  survey->done = std::move(done);
  survey->patience.expires_after(patience);
  survey->patience.async_wait([survey](boost::system::error_code error) {
    if (!error) survey->end();
  });
  for (std::size_t i = 0; i < shards.size(); ++i) {
    shards[i]->tell_queue([&io, survey, i](queue::Queue& queue) {
      asio::post(io, [survey, i, stats = queue.stats()]() mutable {
        survey->answers[i] = std::move(stats);
        if (--survey->missing == 0) survey->end();
      });
    });
  }
}

QueueSurvey survey_queues_now(const std::vector<std::unique_ptr<GatewayShard>>& shards,
                              std::chrono::milliseconds patience) {
  std::vector<std::shared_ptr<std::promise<queue::QueueStats>>> promises;
  std::vector<std::future<queue::QueueStats>> coming;
  for (const auto& shard : shards) {
    promises.push_back(std::make_shared<std::promise<queue::QueueStats>>());
    coming.push_back(promises.back()->get_future());
    shard->tell_queue(
        [promise = promises.back()](queue::Queue& queue) { promise->set_value(queue.stats()); });
  }
  const auto until = Clock::system().steady_now() + patience;
  QueueSurvey answers(shards.size());
  for (std::size_t i = 0; i < shards.size(); ++i)
    if (coming[i].wait_until(until) == std::future_status::ready) answers[i] = coming[i].get();
  return answers;
}

std::vector<std::size_t> silent_shards(const QueueSurvey& survey) {
  std::vector<std::size_t> silent;
  for (std::size_t i = 0; i < survey.size(); ++i)
    if (!survey[i]) silent.push_back(i);
  return silent;
}

}  // namespace waypost::app
