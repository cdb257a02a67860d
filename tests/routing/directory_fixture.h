// A directory server made of a map: pages, cuts, failures, changes, deletions.
#pragma once

#include "routing/directory_reading.h"
#include "routing/directory_snapshot.h"
#include "routing/directory_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace waypost::routing {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A folder that is gone with the test.
class Folder {
 public:
  Folder()
      : path_(std::filesystem::temp_directory_path() /
              ("waypost-directory-" + std::to_string(::getpid()) + "-" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline std::string whole_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// One object; `matches` stands in for the filter.
struct Object {
  std::string dn;
  std::vector<std::string> addresses;
  std::string target;
  std::string wave;
  bool matches = true, deleted = false;
  std::uint64_t usn = 1;
};

inline std::string octets_of(unsigned number) {
  std::string octets(16, '\0');
  octets[15] = static_cast<char>(number & 255);
  octets[14] = static_cast<char>(number >> 8);
  return octets;
}

struct FakeServer {
  std::map<unsigned, Object> objects;  // by the last octets of the GUID
  std::string invocation = octets_of(0xa1);
  std::uint64_t usn = 1;
  std::size_t most_values = 1500;  // more come in ranges
  bool forgets_ranges = false;     // gives the first part again
  bool counts_changes = true, shows_deleted = true;
  std::optional<DialFailure> refuses;  // nobody gets in
  std::optional<std::size_t> cut_at;   // this page (of all searches, from 0) breaks off
  std::size_t pages = 0, dials = 0;
  std::vector<std::string> filters;

  Object& person(unsigned number, const std::string& name) {
    auto& object = objects[number];
    object = {.dn = "CN=" + name + ",OU=People,DC=corp,DC=example",
              .addresses = {"SMTP:" + name + "@corp.example"},
              .target = "SMTP:" + name + "@orgname.awsapps.com",
              .wave = {},
              .usn = ++usn};
    return object;
  }
  Object& touch(unsigned number) {
    auto& object = objects.at(number);
    object.usn = ++usn;
    return object;
  }
};

class FakeWire final : public DirectoryWire {
 public:
  explicit FakeWire(FakeServer& server) : server_(server) {}
  std::string tls_version() const override { return "TLS1.3"; }

  Result<LdapPage> search(const LdapSearch& search, const Patience& patience) override {
    if (auto patient = patience.check(); !patient) return fail(std::move(patient).error());
    if (search.base.empty()) return root();
    if (search.base == "CN=NTDS") return ntds();
    if (!search.subtree && search.attributes.at(0).contains(";range=")) return part(search);
    server_.filters.push_back(search.filter);
    if (server_.cut_at && server_.pages++ == *server_.cut_at)
      return fail(ErrorKind::network, "the server has cut the connection");
    return objects(search);
  }

 private:
  LdapPage root() const {
    LdapEntry entry;
    entry.attributes = {{"defaultNamingContext", {"DC=corp,DC=example"}},
                        {"namingContexts", {"DC=corp,DC=example", "DC=other,DC=example"}}};
    if (server_.counts_changes) {
      entry.attributes.push_back({"highestCommittedUSN", {std::to_string(server_.usn)}});
      entry.attributes.push_back({"dsServiceName", {"CN=NTDS"}});
    }
    if (server_.shows_deleted)
      entry.attributes.push_back({"supportedControl", {"1.2.840.113556.1.4.417"}});
    return {.entries = {entry}, .cookie = {}};
  }

  LdapPage ntds() const {
    LdapEntry entry;
    entry.attributes = {{"invocationId", {server_.invocation}}};
    return {.entries = {entry}, .cookie = {}};
  }

  bool finds(const Object& object, const LdapSearch& search) const {
    const auto since = search.filter.find("(uSNChanged>=");
    if (since != std::string::npos && object.usn < std::stoull(search.filter.substr(since + 13)))
      return false;
    if (object.deleted && !search.show_deleted) return false;
    return search.filter.starts_with("(uSNChanged>=") || (object.matches && !object.deleted);
  }

  /// As Active Directory does it: the name of an attribute that is not all there says what is.
  void add_addresses(LdapEntry& entry, const Object& object, std::size_t from) const {
    if (object.addresses.empty()) return;
    const bool all = object.addresses.size() <= server_.most_values;
    if (all) return entry.attributes.push_back({"proxyAddresses", object.addresses});
    const auto end = std::min(object.addresses.size(), from + server_.most_values);
    const auto last = end == object.addresses.size() ? "*" : std::to_string(end - 1);
    entry.attributes.push_back({"proxyAddresses", {}});
    entry.attributes.push_back({"proxyAddresses;range=" + std::to_string(from) + "-" + last,
                                {object.addresses.begin() + static_cast<std::ptrdiff_t>(from),
                                 object.addresses.begin() + static_cast<std::ptrdiff_t>(end)}});
  }

  LdapPage part(const LdapSearch& search) const {
    LdapPage page;
    const auto range = search.attributes.at(0).find(";range=");
    const auto from = std::stoul(search.attributes.at(0).substr(range + 7));
    for (const auto& [number, object] : server_.objects) {
      if (object.dn != search.base) continue;
      auto& entry = page.entries.emplace_back(LdapEntry{.dn = object.dn, .attributes = {}});
      add_addresses(entry, object, server_.forgets_ranges ? 0 : from);
    }
    return page;
  }

  LdapPage objects(const LdapSearch& search) const {
    std::vector<LdapEntry> found;
    for (const auto& [number, object] : server_.objects) {
      if (!finds(object, search)) continue;
      LdapEntry entry{.dn = object.dn, .attributes = {{"objectGUID", {octets_of(number)}}}};
      add_addresses(entry, object, 0);
      if (!object.target.empty()) entry.attributes.push_back({"targetAddress", {object.target}});
      if (!object.wave.empty()) entry.attributes.push_back({"wave", {object.wave}});
      found.push_back(std::move(entry));
    }
    const auto begin = search.cookie.empty() ? 0 : std::stoul(search.cookie);
    const auto end = std::min(found.size(), begin + search.page_size);
    LdapPage page{.entries = {found.begin() + static_cast<std::ptrdiff_t>(begin),
                              found.begin() + static_cast<std::ptrdiff_t>(end)},
                  .cookie = {}};
    if (end < found.size()) page.cookie = std::to_string(end);
    return page;
  }

  FakeServer& server_;
};

class DirectoryTest : public ::testing::Test {
 protected:
  DirectoryTest() {
    options.name = "ad";
    options.servers = {"ldaps://dc1.corp.example", "ldaps://dc2.corp.example"};
    options.base = "OU=People,DC=corp,DC=example";
    options.bind_dn = "svc";
    options.wave_attribute = "wave";
    options.own_domains = {"corp.example"};
    options.target_domains = {"orgname.awsapps.com"};
    options.page_size = 3;
    options.snapshot = folder.file("ad.csv");
  }

  DirectoryOutcome sync(DirectorySyncRequest request = {}) {
    return make()->synchronise(request, stop.get_token());
  }
  /// A new object each time, as after a restart; keep it where its memory matters.
  std::unique_ptr<Directory> make() {
    return make_directory(
        options, clock,
        [this](const DirectoryOptions&, const DirectoryServer& server,
               const Patience&) -> std::expected<std::unique_ptr<DirectoryWire>, DialFailure> {
          auto& fake = servers.at(server.host);
          ++fake.dials;
          if (fake.refuses) return std::unexpected(*fake.refuses);
          return std::make_unique<FakeWire>(fake);
        });
  }
  /// "ann@corp.example>ann@orgname.awsapps.com" of every entry that counts.
  std::vector<std::string> entries() const {
    std::vector<std::string> out;
    for (const auto& [guid, person] : load_snapshot(options.snapshot).snapshot.people)
      for (const auto& row : person.rows)
        if (!row.contested)
          out.push_back(row.address + ">" + row.target + (row.wave.empty() ? "" : " " + row.wave));
    std::sort(out.begin(), out.end());
    return out;
  }

  Folder folder;
  ManualClock clock;
  std::stop_source stop;
  DirectoryOptions options;
  std::map<std::string, FakeServer> servers{{"dc1.corp.example", {}}, {"dc2.corp.example", {}}};
  FakeServer& dc1 = servers.at("dc1.corp.example");
  FakeServer& dc2 = servers.at("dc2.corp.example");
};

}  // namespace waypost::routing
