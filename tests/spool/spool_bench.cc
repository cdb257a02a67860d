// Writers that wait for durability, against a raw write + fdatasync loop in the same run.
// Usage: spool_bench DIRECTORY [WRITERS] [MESSAGES]
#include "waypost/spool/spool.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace {

using namespace std::chrono;
using waypost::QueueId;
namespace net = waypost::net;
namespace spool = waypost::spool;

struct Run {
  spool::Spool* spool;
  net::Executor executor;
  std::uint64_t left;
  std::uint64_t next_id = 16;
  std::uint64_t failed = 0;
  std::vector<double> ms;
};

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

net::Task<> writer(Run* run, const std::string* body) {
  while (run->left > 0) {
    --run->left;
    auto message = run->spool->begin(run->executor);
    message->append(*body);
    std::string envelope(300, 'e');
    const QueueId id{run->next_id += 16};
    const auto start = steady_clock::now();
    auto ref = co_await message->commit(id, std::move(envelope), 1);
    run->ms.push_back(duration<double, std::milli>(steady_clock::now() - start).count());
    if (ref) {
      run->spool->settle(*ref, 0, spool::Settlement::delivered);
    } else {
      ++run->failed;
    }
  }
}

double raw_syncs_per_second(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return 0;
  const std::string block(12 * 1024, 'r');
  constexpr int kRegion = 512;
  for (int i = 0; i < kRegion; ++i) {
    if (::pwrite(fd, block.data(), block.size(), i * 12288) < 0) break;
  }
  ::fsync(fd);
  const auto start = steady_clock::now();
  int done = 0;
  for (; done < 2000; ++done) {
    if (::pwrite(fd, block.data(), block.size(), done % kRegion * 12288) < 0) break;
    if (::fdatasync(fd) != 0) break;
  }
  const double seconds = duration<double>(steady_clock::now() - start).count();
  ::close(fd);
  ::unlink(path.c_str());
  return done / seconds;
}

}  // namespace

int main(int count, char** words) {
  if (count < 2) {
    std::fprintf(stderr, "usage: spool_bench DIRECTORY [WRITERS] [MESSAGES]\n");
    return 2;
  }
  spool::Options options;
  options.directory = words[1];
  const int writers = count > 2 ? std::atoi(words[2]) : 20;
  waypost::MemoryBudget budget(256u << 20);
  waypost::ops::Metrics metrics;
  spool::RecoveryReport report;
  auto opened = spool::Spool::open(
      options, waypost::Disk::system(), waypost::Clock::system(), budget, metrics,
      [](spool::StoredMessage) {}, report);
  if (!opened) {
    std::fprintf(stderr, "%s\n", opened.error().message.c_str());
    return 1;
  }
  boost::asio::io_context io(1);
  Run run{opened->get(),
          io.get_executor(),
          count > 3 ? std::strtoull(words[3], nullptr, 10) : 100'000,
          16,
          0,
          {}};
  const std::uint64_t all = run.left;
  const std::string body(10 * 1024, 'b');
  const double cpu = cpu_seconds();
  const auto start = steady_clock::now();
  for (int i = 0; i < writers; ++i) {
    boost::asio::co_spawn(io.get_executor(), writer(&run, &body), boost::asio::detached);
  }
  io.run();
  const double seconds = duration<double>(steady_clock::now() - start).count();
  const double used = cpu_seconds() - cpu;
  std::sort(run.ms.begin(), run.ms.end());
  const double raw = raw_syncs_per_second(options.directory + "/raw-baseline");
  std::printf(
      "writers %d: %.0f msg/s, p50 %.2f ms, p99 %.2f ms, CPU %.1f us/msg, failed %llu, "
      "raw 12 KiB write+fdatasync %.0f/s, ratio %.2f\n",
      writers, static_cast<double>(all) / seconds, run.ms[run.ms.size() / 2],
      run.ms[run.ms.size() * 99 / 100], used * 1e6 / static_cast<double>(all),
      static_cast<unsigned long long>(run.failed), raw, static_cast<double>(all) / seconds / raw);
  (*opened)->close();
  return 0;
}
