// A folder of its own, entered for the length of a test, so that relative file names are short.
#pragma once

#include "waypost/config/config.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace waypost::config {

inline std::string read_whole(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

inline std::string source_file(const std::string& relative) {
  return std::string(WAYPOST_SOURCE_DIR) + "/" + relative;
}

inline std::string listed(const std::vector<Diagnostic>& diagnostics) {
  std::string out;
  for (const auto& diagnostic : diagnostics) out += diagnostic.to_string() + "\n";
  return out;
}

class EnteredFolder {
 public:
  EnteredFolder() : before_(std::filesystem::current_path()) {
    auto name = (std::filesystem::temp_directory_path() / "waypost-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
    std::filesystem::current_path(path_);
  }
  ~EnteredFolder() {
    std::error_code ignored;
    std::filesystem::current_path(before_, ignored);
    std::filesystem::remove_all(path_, ignored);
  }
  EnteredFolder(const EnteredFolder&) = delete;
  EnteredFolder& operator=(const EnteredFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path before_, path_;
};

/// The smallest file that loads without a complaint when files are not looked at.
inline constexpr std::string_view kMinimal =
    "own_name: gw.corp.example\n"
    "tls: {certificates: [{chain: c.pem, key: k.pem}]}\n"
    "admission: {networks: [10.0.0.10]}\n"
    "routing: {own_domains: [corp.example], tables: [t.csv], target_domains: {t.example: out}}\n"
    "next_hops: {out: {mx: t.example}}\n";

inline Loaded load_minimal_and(const std::string& more) {
  return load_text(std::string(kMinimal) + more, "w.yaml", {.check_files = false});
}

}  // namespace waypost::config
