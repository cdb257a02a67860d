#include "routing/sources.h"

#include "routing/directory_snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <memory>

namespace waypost::routing {
namespace {

constexpr std::uint64_t kMaxFile = 4ull << 30;

/// What a directory's reader has left on this disk.
void add_snapshot(TableBuilder& builder, const TableSource& source,
                  std::vector<Problem>& problems) {
  const auto complain = [&](const std::string& path, std::string message) {
    problems.push_back(Problem{true, path, 0, 0, std::move(message)});
  };
  for (const auto& path : source.paths) {
    const auto content = read_source_file(path);
    if (!content && content.error().kind == ErrorKind::not_found) {
      complain(path, "the directory '" + source.directory +
                         "' has not been read yet; its snapshot appears here when a server of it "
                         "has answered for the first time");
    } else if (!content) {
      complain(path, content.error().message);
    } else if (const auto damage = snapshot_damage(*content); !damage.empty()) {
      complain(path, "the snapshot of the directory '" + source.directory +
                         "' can't be used: " + damage +
                         "; the next synchronisation writes it anew (waypost directory "
                         "sync " +
                         source.directory + ")");
    } else {
      builder.add_csv(path, *content);
    }
  }
}

}  // namespace

Result<std::string> read_source_file(const std::string& path) {
  // A pipe that nobody writes to must not keep anybody waiting.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
      descriptor < 0 ? nullptr : ::fdopen(descriptor, "rb"), &std::fclose);
  if (!file)
    return fail(errno == ENOENT ? ErrorKind::not_found : ErrorKind::io,
                "cannot read the table: " + describe_errno(errno) +
                    "; check the path and that the waypost user may read it");
  struct stat info{};
  if (::fstat(fileno(file.get()), &info) != 0)
    return fail(ErrorKind::io, "cannot read the table: " + describe_errno(errno));
  if (!S_ISREG(info.st_mode)) return fail(ErrorKind::io, "the table is not a regular file");
  if (static_cast<std::uint64_t>(info.st_size) > kMaxFile)
    return fail(ErrorKind::exhausted, "the table is larger than 4 GiB");
  std::string content(static_cast<std::size_t>(info.st_size), '\0');
  const auto got = std::fread(content.data(), 1, content.size(), file.get());
  // A file that grows or shrinks under our eyes is being written.
  if (got != content.size() || std::fgetc(file.get()) != EOF)
    return fail(ErrorKind::io,
                "the table changed while it was read; write it beside and rename it into place");
  return content;
}

std::optional<std::string> read_source_file(const std::string& path,
                                            std::vector<Problem>& problems) {
  auto content = read_source_file(path);
  if (content) return std::move(*content);
  problems.push_back(Problem{true, path, 0, 0, content.error().message});
  return std::nullopt;
}

void add_source(TableBuilder& builder, const TableSource& source, const Options& options,
                std::vector<Problem>& problems) {
  builder.begin_source({source.wave, source.state});
  switch (source.kind) {
    case TableSource::Kind::inline_yaml:
      for (const auto& entry : source.entries) builder.add_entry(entry);
      return;
    case TableSource::Kind::csv:
      for (const auto& path : source.paths)
        if (const auto content = read_source_file(path, problems)) builder.add_csv(path, *content);
      return;
    case TableSource::Kind::directory:
      return add_snapshot(builder, source, problems);
    case TableSource::Kind::exchange:
      return add_exchange_export(builder, source, options, problems);
    case TableSource::Kind::workmail:
      return add_workmail_export(builder, source, options, problems);
  }
}

void add_members_file(TableBuilder& builder, const WaveOptions& wave,
                      std::vector<Problem>& problems) {
  if (wave.members_file.empty()) return;
  if (const auto content = read_source_file(wave.members_file, problems))
    builder.add_members(wave.name, wave.members_file, *content);
}

}  // namespace waypost::routing
