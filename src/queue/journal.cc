#include "waypost/queue/journal.h"

#include "waypost/ops/log.h"

#include "queue/json_values.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

namespace waypost::queue {
namespace json = boost::json;
namespace {

bool must_survive(Verb verb) {
  return verb != Verb::flush && verb != Verb::bounce && verb != Verb::remove;
}

json::object touched_object(const Touched& touched) {
  json::array recipients;
  for (const std::uint32_t i : touched.recipients) recipients.emplace_back(i);
  return {{"id", touched.id.to_string()}, {"recipients", std::move(recipients)}};
}

Result<Touched> touched_from(const json::value& value) {
  const auto nonsense = [] { return fail(ErrorKind::invalid, "'touched' makes no sense"); };
  if (!value.is_object()) return nonsense();
  const auto* id = value.as_object().if_contains("id");
  const auto* recipients = value.as_object().if_contains("recipients");
  if (id == nullptr || !id->is_string() || recipients == nullptr || !recipients->is_array())
    return nonsense();
  const auto parsed = QueueId::parse({id->as_string().data(), id->as_string().size()});
  if (!parsed) return fail(parsed.error());
  Touched touched{*parsed, {}};
  for (const auto& one : recipients->as_array()) {
    if (!one.is_int64() || one.as_int64() < 0) return nonsense();
    touched.recipients.push_back(static_cast<std::uint32_t>(one.as_int64()));
  }
  return touched;
}

std::string line_of(const Command& command, const std::vector<Touched>& touched) {
  json::object line = command_object(command);
  json::array all;
  for (const Touched& one : touched) all.emplace_back(touched_object(one));
  line["touched"] = std::move(all);
  return json::serialize(line) + "\n";
}

class FileJournal final : public Journal {
 public:
  explicit FileJournal(std::string path) : path_(std::move(path)) {}
  ~FileJournal() override {
    if (fd_ >= 0) ::close(fd_);
  }

  Result<> read(const std::function<void(const std::string&)>& complain) {
    std::ifstream file(path_);
    std::string line;
    for (std::size_t number = 1; std::getline(file, line); ++number) {
      if (line.empty()) continue;
      const auto read_one = take(line);
      if (!read_one)
        complain(path_ + ":" + std::to_string(number) + ": " + read_one.error().message +
                 "; the line is left out");
    }
    return {};
  }
  const ControlState& state() const override { return state_; }

  Result<> append(const Command& command, const std::vector<Touched>& touched) override {
    if (!must_survive(command.verb) || command.dry_run) return {};
    const bool standing = command.verb == Verb::suspend || command.verb == Verb::resume;
    if (!standing && touched.empty()) return {};
    state_.apply(command, touched);
    if (fd_ < 0) {
      if (auto opened = open_file(path_, false); !opened) return opened;
    }
    return write(fd_, path_, line_of(command, touched));
  }

  Result<> compact(const std::function<bool(std::uint64_t id)>& exists) override {
    std::erase_if(state_.held, [&](const auto& one) { return !exists(one.first); });
    std::erase_if(state_.rerouted, [&](const auto& one) { return !exists(one.first); });
    std::string text;
    Command command;
    for (const Selector& one : state_.suspensions) {
      command.verb = Verb::suspend;
      command.selector = one;
      text += line_of(command, {});
    }
    command = {};
    command.verb = Verb::hold;
    for (const auto& [id, recipients] : state_.held)
      text += line_of(command, {{QueueId{id}, {recipients.begin(), recipients.end()}}});
    command.verb = Verb::reroute;
    for (const auto& [id, ways] : state_.rerouted) {
      for (const auto& [recipient, next_hop] : ways) {
        command.next_hop = next_hop;
        text += line_of(command, {{QueueId{id}, {recipient}}});
      }
    }
    if (text.empty()) {
      if (::unlink(path_.c_str()) != 0 && errno != ENOENT)
        return fail(ErrorKind::io, path_ + ": can't be removed: " + describe_errno(errno));
      return {};
    }
    const std::string fresh = path_ + ".new";
    if (auto opened = open_file(fresh, true); !opened) return opened;
    if (auto written = write(fd_, fresh, text); !written) return written;
    if (::rename(fresh.c_str(), path_.c_str()) != 0)
      return fail(ErrorKind::io, path_ + ": can't be replaced: " + describe_errno(errno));
    return {};
  }

 private:
  Result<> take(const std::string& line) {
    const auto value = parse_json(line);
    if (!value) return fail(value.error());
    const auto command = command_from(*value);
    if (!command) return fail(command.error());
    std::vector<Touched> touched;
    if (const auto* all = value->as_object().if_contains("touched");
        all != nullptr && all->is_array()) {
      for (const auto& one : all->as_array()) {
        auto read_one = touched_from(one);
        if (!read_one) return fail(read_one.error());
        touched.push_back(std::move(*read_one));
      }
    }
    state_.apply(*command, touched);
    return {};
  }

  Result<> open_file(const std::string& path, bool fresh) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND | (fresh ? O_TRUNC : 0),
                 0600);
    if (fd_ < 0) return fail(ErrorKind::io, path + ": can't be opened: " + describe_errno(errno));
    return {};
  }

  static Result<> write(int fd, const std::string& path, std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::write(fd, text.data(), text.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail(ErrorKind::io, path + ": can't be written: " + describe_errno(errno));
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    if (::fdatasync(fd) != 0)
      return fail(ErrorKind::io, path + ": can't be synced: " + describe_errno(errno));
    return {};
  }

  std::string path_;
  int fd_ = -1;
  ControlState state_;
};

}  // namespace

void ControlState::apply(const Command& command, const std::vector<Touched>& touched) {
  const Selector& what = command.selector;
  switch (command.verb) {
    case Verb::suspend:
      if (std::find(suspensions.begin(), suspensions.end(), what) == suspensions.end())
        suspensions.push_back(what);
      return;
    case Verb::resume:
      if (what.everything()) {
        suspensions.clear();
      } else {
        std::erase(suspensions, what);
      }
      return;
    case Verb::hold:
      for (const Touched& one : touched)
        held[one.id.value].insert(one.recipients.begin(), one.recipients.end());
      return;
    case Verb::release:
      for (const Touched& one : touched) {
        const auto found = held.find(one.id.value);
        if (found == held.end()) continue;
        for (const std::uint32_t i : one.recipients) found->second.erase(i);
        if (found->second.empty()) held.erase(found);
      }
      return;
    case Verb::reroute:
      for (const Touched& one : touched) {
        for (const std::uint32_t i : one.recipients) rerouted[one.id.value][i] = command.next_hop;
      }
      return;
    case Verb::flush:
    case Verb::bounce:
    case Verb::remove:
      return;
  }
}

Result<std::unique_ptr<Journal>> Journal::open(
    const std::string& path, const std::function<void(const std::string&)>& complain) {
  auto journal = std::make_unique<FileJournal>(path);
  if (auto read = journal->read(complain); !read) return fail(read.error());
  return journal;
}

}  // namespace waypost::queue
