// Routers and tables in one line, for the tests of this room.
#pragma once

#include "waypost/routing/router.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace waypost::routing {

inline mail::Mailbox mailbox(std::string_view text) {
  auto parsed = mail::parse_mailbox(text);
  EXPECT_TRUE(parsed) << text << ": " << (parsed ? "" : parsed.error().message);
  return parsed ? *parsed : mail::Mailbox{};
}

inline Entry entry(std::string_view address, std::string_view target,
                   EntryState state = EntryState::active, std::string wave = {},
                   std::uint32_t line = 1) {
  return Entry{mailbox(address),   mailbox(target), state, true, std::move(wave), {},
               {"table.csv", line}};
}

inline std::shared_ptr<const Table> table_of(const std::vector<Entry>& entries) {
  TableBuilder builder;
  for (const auto& item : entries) builder.add_entry(item);
  return builder.build();
}

/// The migration of DOMAIN.md: corp.example moves to orgname.awsapps.com.
inline Options migration(std::vector<Entry> entries) {
  Options options;
  options.own_domains = {"corp.example"};
  options.target_domains = {{"orgname.awsapps.com", "workmail"}};
  auto& source = options.sources.emplace_back();
  source.kind = TableSource::Kind::inline_yaml;
  source.entries = std::move(entries);
  return options;
}

inline std::shared_ptr<const Router> router_of(const Options& options) {
  std::vector<Problem> problems;
  auto router = Router::load(options, problems);
  EXPECT_TRUE(router) << (router ? "" : router.error().message);
  return router ? *router : Router::unavailable(options, "load failed");
}

inline std::string csv_problems(std::string_view content) {
  TableBuilder builder;
  builder.add_csv("users.csv", content);
  builder.build();
  std::string out;
  for (const auto& problem : builder.problems()) out += problem.to_string() + "\n";
  return out;
}

class TemporaryFolder {
 public:
  TemporaryFolder() {
    auto name = (std::filesystem::temp_directory_path() / "waypost-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string write(const std::string& name, std::string_view content) const {
    const auto file = path_ + "/" + name;
    std::ofstream(file, std::ios::binary) << content;
    return file;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace waypost::routing
