#include "config/schema.h"
#include "config/yaml_tree.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <tuple>

namespace waypost::config {
namespace {

constexpr std::size_t kMaxFile = 16u << 20;

Loaded failed(const std::string& file, std::string message) {
  Loaded out;
  out.config.file = file;
  out.diagnostics.push_back(Diagnostic{Diagnostic::Level::error, file, 0, 0, std::move(message)});
  return out;
}

std::string folder_of(const std::string& file) {
  const auto slash = file.rfind('/');
  return slash == std::string::npos ? std::string() : file.substr(0, slash + 1);
}

/// One line each, whatever the file holds.
void make_printable(std::string& text) {
  for (char& c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x20 || u == 0x7f) c = '?';
  }
}

void sort_by_place(std::vector<Diagnostic>& diagnostics) {
  std::stable_sort(diagnostics.begin(), diagnostics.end(),
                   [](const Diagnostic& one, const Diagnostic& other) {
                     return std::tie(one.line, one.column) < std::tie(other.line, other.column);
                   });
}

/// The file has no end mark, so the end of its last line stands for it.
void refuse_cut(Loaded& out, std::string_view content) {
  const auto line =
      static_cast<std::uint32_t>(std::count(content.begin(), content.end(), '\n')) + 1;
  out.diagnostics.push_back(
      Diagnostic{Diagnostic::Level::error, out.config.file, line, 1,
                 "the last line has no line break: is the file still being written? Write it "
                 "beside and rename it into place; if it is whole, end its last line with a line "
                 "break"});
  sort_by_place(out.diagnostics);
  const auto socket = out.config.places.find("admin.socket");
  out.socket_known =
      out.socket_known && socket != out.config.places.end() && socket->second.line < line;
}

bool has_unknown_key(const Value& section, const std::string& path, const Reading& reading) {
  return std::any_of(section.members.begin(), section.members.end(),
                     [&](const Member& one) { return !reading.places.contains(path + one.key); });
}

/// A file without these is empty, or was cut, and no daemon could ever have been started with it.
bool is_of_a_daemon(const Reading& reading) {
  const auto& keys = {"own_name", "admission", "routing", "next_hops"};
  return std::all_of(std::begin(keys), std::end(keys),
                     [&](const char* key) { return reading.places.contains(key); });
}

/// False: what was meant for admin.socket may stand under a mistyped name, or is no socket.
bool is_socket_known(const Value& tree, const Reading& reading) {
  const auto admin = std::find_if(tree.members.begin(), tree.members.end(),
                                  [](const Member& one) { return one.key == "admin"; });
  if (admin == tree.members.end())
    return is_of_a_daemon(reading) && !has_unknown_key(tree, {}, reading);
  const auto socket = reading.places.find("admin.socket");
  if (socket == reading.places.end())
    return is_of_a_daemon(reading) &&
           (admin->value.kind == Value::Kind::map || admin->value.kind == Value::Kind::null) &&
           !has_unknown_key(admin->value, "admin.", reading);
  return std::none_of(
      reading.diagnostics.begin(), reading.diagnostics.end(), [&](const Diagnostic& one) {
        return one.level == Diagnostic::Level::error && one.line == socket->second.line;
      });
}

}  // namespace

std::string Diagnostic::to_string() const {
  std::string out = file;
  if (line > 0) out += ":" + std::to_string(line) + ":" + std::to_string(column);
  if (!out.empty()) out += ": ";
  return out + (level == Level::error ? "error: " : "warning: ") + message;
}

bool Loaded::usable() const {
  return std::none_of(diagnostics.begin(), diagnostics.end(), [](const Diagnostic& diagnostic) {
    return diagnostic.level == Diagnostic::Level::error;
  });
}

Loaded load_file(const std::string& path, LoadOptions options) {
  // Never waits: a pipe without a writer would hold whoever reads it, a daemon's commands too.
  const int opened = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
      opened < 0 ? nullptr : ::fdopen(opened, "rb"), &std::fclose);
  if (!file)
    return failed(path, "cannot read the configuration: " + describe_errno(errno) +
                            "; name the file with --config");
  struct stat info{};
  if (::fstat(fileno(file.get()), &info) != 0 || !S_ISREG(info.st_mode))
    return failed(path, "cannot read the configuration: it is not a regular file");
  std::string content;
  char block[16'384];
  while (const auto got = std::fread(block, 1, sizeof block, file.get())) {
    content.append(block, got);
    if (content.size() > kMaxFile)
      return failed(path,
                    "the configuration is larger than 16 MiB; move the entries of the routing "
                    "table into a CSV file");
  }
  if (std::ferror(file.get()) != 0)
    return failed(path, "cannot read the configuration: " + describe_errno(errno));
  auto out = load_text(content, path, options);
  if (!content.empty() && !content.ends_with('\n')) refuse_cut(out, content);
  return out;
}

Loaded load_text(std::string_view yaml, const std::string& file_name, LoadOptions options) {
  Loaded out;
  out.config.file = file_name;
  Reading reading;
  reading.file = file_name;
  reading.files = {file_name};
  reading.folder = folder_of(file_name);
  reading.check_files = options.check_files;
  reading.check_table_files = options.check_table_files;
  if (const auto tree = read_yaml(yaml, file_name, reading.diagnostics)) {
    const bool is_yaml = reading.diagnostics.empty();
    Section root(reading, &*tree, {}, Place{1, 1});
    read_config(root, out.config);
    root.finish();
    out.socket_known = is_yaml && is_socket_known(*tree, reading);
    check_consistency(out.config, reading);
    if (options.check_files) check_certificates(out.config, reading);
    out.config.places = std::move(reading.places);
    for (auto& finding : audit(out.config)) reading.diagnostics.push_back(std::move(finding));
  }
  out.diagnostics = std::move(reading.diagnostics);
  for (auto& diagnostic : out.diagnostics) make_printable(diagnostic.message);
  sort_by_place(out.diagnostics);
  return out;
}

}  // namespace waypost::config
