// A deep queue: how long a restart takes with a million messages waiting, what each of them costs
// in memory, and how fast new mail goes in and out beside them.
//   scale_bench fill DIRECTORY MESSAGES OCTETS [kill]   envelopes that a gateway can read
//   scale_bench recover DIRECTORY                       drop the page cache first for a cold start
//   scale_bench beside DIRECTORY MESSAGES OCTETS        new mail, accepted and delivered at once
#include "waypost/mail/envelope.h"
#include "waypost/spool/spool.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

using namespace std::chrono;
using waypost::QueueId;
namespace mail = waypost::mail;
namespace net = waypost::net;
namespace spool = waypost::spool;

constexpr int kWriters = 200;

double resident_octets() {
  long pages = 0;
  long resident = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%ld %ld", &pages, &resident) != 2) resident = 0;
    std::fclose(file);
  }
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

double seconds_since(steady_clock::time_point start) {
  return duration<double>(steady_clock::now() - start).count();
}

std::string envelope_of(QueueId id, std::uint64_t number, std::size_t octets) {
  mail::Envelope envelope;
  envelope.id = id;
  envelope.accepted_at = waypost::Clock::system().now();
  envelope.reverse_path = mail::Mailbox{"sender" + std::to_string(number % 1000), "corp.example"};
  envelope.message_id = "<" + std::to_string(number) + ".0123456789abcdef@ex1.corp.example>";
  envelope.client = "ex1.corp.example[10.0.0.5]";
  envelope.content_size = octets;
  mail::Recipient recipient;
  recipient.original = {"person" + std::to_string(number), "corp.example"};
  recipient.target = {"person" + std::to_string(number), "corp.awsapps.example"};
  recipient.next_hop = "workmail";
  envelope.recipients.push_back(recipient);
  return mail::encode(envelope);
}

struct Run {
  spool::Spool* spool;
  net::Executor executor;
  std::uint64_t first_id, all, octets;
  bool settle;
  std::uint64_t begun = 0, failed = 0;
  std::vector<float> ms = {};
};

net::Task<> writer(Run* run, const std::string* body) {
  while (run->begun < run->all) {
    const std::uint64_t number = run->begun++;
    auto message = run->spool->begin(run->executor);
    message->append(*body);
    const QueueId id{run->first_id + (number << 4)};
    std::string envelope = envelope_of(id, number, run->octets);
    const auto start = steady_clock::now();
    auto ref = co_await message->commit(id, std::move(envelope), 1);
    run->ms.push_back(duration<float, std::milli>(steady_clock::now() - start).count());
    if (!ref) {
      ++run->failed;
    } else if (run->settle) {
      run->spool->settle(*ref, 0, spool::Settlement::delivered);
    } else {
      run->spool->forget_content(*ref);
    }
  }
}

int usage() {
  std::fprintf(stderr,
               "usage: scale_bench fill DIRECTORY MESSAGES OCTETS [kill]\n"
               "       scale_bench recover DIRECTORY\n"
               "       scale_bench beside DIRECTORY MESSAGES OCTETS\n");
  return 2;
}

}  // namespace

int main(int count, char** words) {
  if (count < 3) return usage();
  const std::string what = words[1];
  if (what != "recover" && count < 5) return usage();
  spool::Options options;
  options.directory = words[2];
  waypost::MemoryBudget budget(256u << 20);
  waypost::ops::Metrics metrics;
  spool::RecoveryReport report;
  const double empty = resident_octets();
  const auto start = steady_clock::now();
  std::uint64_t envelopes = 0;
  auto opened = spool::Spool::open(
      options, waypost::Disk::system(), waypost::Clock::system(), budget, metrics,
      [&](const spool::StoredMessage& message) { envelopes += message.envelope.size(); }, report);
  if (!opened) {
    std::fprintf(stderr, "%s\n", opened.error().message.c_str());
    return 1;
  }
  std::printf("recovered %llu messages in %.2f s, read %.1f MiB of %llu segments",
              static_cast<unsigned long long>(report.messages), seconds_since(start),
              static_cast<double>(report.octets_read) / 1048576.0,
              static_cast<unsigned long long>(report.segments));
  const double grown = resident_octets() - empty;
  ::malloc_trim(0);
  const double kept = resident_octets() - empty;
  const double each = static_cast<double>(std::max<std::uint64_t>(1, report.messages));
  std::printf(", resident %.0f octets each (%.0f before the trim), envelope %.0f, set aside %zu\n",
              kept / each, grown / each, static_cast<double>(envelopes) / each,
              report.set_aside.size());
  if (what == "recover") {
    (*opened)->close();
    return 0;
  }
  boost::asio::io_context io(1);
  Run run{opened->get(),
          io.get_executor(),
          std::max<std::uint64_t>(16, (report.highest_id.value & ~15ull) + 16),
          std::strtoull(words[3], nullptr, 10),
          std::strtoull(words[4], nullptr, 10),
          what == "beside"};
  run.ms.reserve(run.all);
  const std::string body(run.octets, 'b');
  const double before = resident_octets();
  const auto began = steady_clock::now();
  for (int i = 0; i < kWriters; ++i) {
    boost::asio::co_spawn(io.get_executor(), writer(&run, &body), boost::asio::detached);
  }
  io.run();
  const double seconds = seconds_since(began);
  ::malloc_trim(0);
  std::sort(run.ms.begin(), run.ms.end());
  const double all = static_cast<double>(run.all);
  std::printf("%.0f msg/s, p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, most %.1f ms, failed %llu",
              all / seconds, run.ms[run.ms.size() / 2], run.ms[run.ms.size() * 99 / 100],
              run.ms[run.ms.size() * 999 / 1000], run.ms.back(),
              static_cast<unsigned long long>(run.failed));
  if (!run.settle) {
    const double figures = static_cast<double>(run.ms.size() * sizeof(float));
    std::printf(", resident %.0f octets each", (resident_octets() - before - figures) / all);
  }
  std::printf("\n");
  std::fflush(stdout);
  if (count > 5 && std::strcmp(words[5], "kill") == 0) ::_exit(0);  // as a crash leaves it
  (*opened)->close();
  return 0;
}
