#include "app/check_files.h"

#include "waypost/base/text_file.h"
#include "waypost/inbound/passwords.h"
#include "waypost/net/tls.h"

namespace waypost::app {
namespace {

class FileCheck {
 public:
  explicit FileCheck(const config::Config& config) : config_(config) {}

  std::vector<config::Diagnostic> run() {
    const auto& inbound = config_.inbound;
    if (!inbound.tls.certificates.empty()) note("tls", net::TlsContext::for_server(inbound.tls));
    if (!inbound.admission.password_file.empty())
      note("admission.password_file", inbound::read_password_file(inbound.admission.password_file));
    for (const auto& hop : config_.next_hops) {
      const std::string path = "next_hops." + hop.name;
      if (hop.tls.policy != net::TlsPolicy::none || hop.implicit_tls)
        note(path, net::TlsContext::for_client(hop.tls));
      if (!hop.auth_password_file.empty())
        note(path + ".auth_password_file", first_line_of(hop.auth_password_file));
    }
    for (const auto& directory : config_.directories) {
      const std::string path = "directories." + directory.name;
      if (!directory.password_file.empty())
        note(path + ".password_file", first_line_of(directory.password_file));
      if (directory.ca_file.empty()) continue;
      net::ClientTlsOptions trust;
      trust.ca_file = directory.ca_file;
      note(path + ".ca_file", net::TlsContext::for_client(trust));
    }
    return std::move(findings_);
  }

 private:
  template <class Read>
  void note(const std::string& path, const Read& read) {
    if (read) return;
    const config::Place place = config::nearest_place(config_.places, path);
    findings_.push_back(config::Diagnostic{config::Diagnostic::Level::error, config_.file,
                                           place.line, place.column, read.error().message});
  }

  const config::Config& config_;
  std::vector<config::Diagnostic> findings_;
};

}  // namespace

std::vector<config::Diagnostic> check_files(const config::Config& config) {
  return FileCheck(config).run();
}

}  // namespace waypost::app
