// The wire by libldap: connect, verify, bind, search.
//
// libldap gets a socket of ours below its TLS (LDAP_PROTO_EXT), so that the handshake and half a
// message can't hold a thread beyond its Patience. Options are set one by one: nothing that
// ldap.conf, ~/.ldaprc or LDAPTLS_* say may weaken the verification.
#include "waypost/base/counted.h"
#include "waypost/base/text_file.h"

#include "routing/directory_ldap_results.h"
#include "routing/directory_socket.h"
#include "routing/directory_wire.h"

#include <openldap.h>
#include <sasl/sasl.h>

#include <cerrno>

namespace waypost::routing {
namespace {

constexpr const char* kSystemCas = "/etc/ssl/certs/ca-certificates.crt";
constexpr timeval kSlice{.tv_sec = 0, .tv_usec = 100'000};

// ---- our socket as the lowest layer of a Sockbuf

DirectorySocket& socket_of(Sockbuf_IO_Desc* layer) {
  return *static_cast<DirectorySocket*>(layer->sbiod_pvt);
}
int set_up(Sockbuf_IO_Desc* layer, void* socket) {
  layer->sbiod_pvt = socket;
  return 0;
}
int take_down(Sockbuf_IO_Desc* /*layer*/) { return 0; }
int control(Sockbuf_IO_Desc* /*layer*/, int /*option*/, void* /*value*/) { return 0; }
ber_slen_t read_octets(Sockbuf_IO_Desc* layer, void* into, ber_len_t size) {
  return socket_of(layer).read(into, size);
}
ber_slen_t write_octets(Sockbuf_IO_Desc* layer, void* from, ber_len_t size) {
  return socket_of(layer).write(from, size);
}
int close_socket(Sockbuf_IO_Desc* layer) {
  socket_of(layer).close();
  return 0;
}
Sockbuf_IO kLayer = {set_up, take_down, control, read_octets, write_octets, close_socket};

int no_interaction(LDAP* /*ldap*/, unsigned /*flags*/, void* /*defaults*/, void* asked) {
  for (auto* one = static_cast<sasl_interact_t*>(asked); one->id != SASL_CB_LIST_END; ++one) {
    one->result = "";
    one->len = 0;
  }
  return LDAP_SUCCESS;
}

struct FreeMessage {
  void operator()(LDAPMessage* message) const { ldap_msgfree(message); }
};
using Message = std::unique_ptr<LDAPMessage, FreeMessage>;

/// The result code of a response and what the server says about it.
struct Verdict {
  int code = LDAP_OTHER;
  std::string diagnostic;
};

class LdapWire final : public DirectoryWire {
 public:
  LdapWire() = default;
  LdapWire(const LdapWire&) = delete;
  LdapWire& operator=(const LdapWire&) = delete;
  ~LdapWire() override {
    if (ldap_ == nullptr) return;
    // The farewell must not wait.
    Patience brief = patience_;
    brief.stop = {};
    if (brief.clock != nullptr)
      brief.until = brief.clock->steady_now() + std::chrono::milliseconds(200);
    socket_.use(brief);
    ldap_unbind_ext(ldap_, nullptr, nullptr);
  }

  Result<> open(const DirectoryOptions& options, const DirectoryServer& server,
                const Patience& patience);
  std::expected<void, DialFailure> bind(const DirectoryOptions& options, const Patience& patience);
  std::string tls_version() const override { return tls_; }
  Result<LdapPage> search(const LdapSearch& search, const Patience& patience) override;

 private:
  Result<> set_options(const DirectoryOptions& options, const DirectoryServer& server);
  Result<> start_tls(const DirectoryServer& server);
  std::expected<void, DialFailure> bind_simple(const DirectoryOptions& options);
  std::expected<void, DialFailure> bind_gssapi();
  Result<Message> next(int id, int all);
  Result<Message> next_of_sasl(int id) { return next(id, LDAP_MSG_ALL); }
  Verdict verdict_of(LDAPMessage* message) const;
  Error trouble(std::string_view doing, int code) const;
  std::string diagnostic() const;
  LdapEntry entry_of(LDAPMessage* message) const;
  Result<std::string> cookie_of(LDAPMessage* message) const;
  Result<> read_page(int id, bool paged, LdapPage& page);
  void use(const Patience& patience) {
    patience_ = patience;
    socket_.use(patience);
  }

  DirectorySocket socket_;
  Patience patience_;
  LDAP* ldap_ = nullptr;
  std::string tls_ = "none";
};

std::string LdapWire::diagnostic() const {
  char* text = nullptr;
  ldap_get_option(ldap_, LDAP_OPT_DIAGNOSTIC_MESSAGE, &text);
  std::string out = text == nullptr ? "" : text;
  ldap_memfree(text);
  return out;
}

/// Our own patience explains more than libldap's "can't contact".
Error LdapWire::trouble(std::string_view doing, int code) const {
  if (const auto& gave_up = socket_.gave_up())
    return {gave_up->kind, std::string(doing) + ": " + gave_up->message};
  if (code == LDAP_SERVER_DOWN)
    return {ErrorKind::network, std::string(doing) + ": the server has cut the connection"};
  return error_of(code, doing, diagnostic());
}

Result<> LdapWire::set_options(const DirectoryOptions& options, const DirectoryServer& server) {
  const int version = LDAP_VERSION3, demand = LDAP_OPT_X_TLS_DEMAND,
            strict_san = LDAP_OPT_X_TLS_TRY, least = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2, client = 0,
            unlimited = LDAP_NO_LIMIT;
  const char* ca = options.ca_file.empty() ? kSystemCas : options.ca_file.c_str();
  bool good = ldap_set_option(ldap_, LDAP_OPT_PROTOCOL_VERSION, &version) == LDAP_SUCCESS &&
              ldap_set_option(ldap_, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) == LDAP_SUCCESS &&
              ldap_set_option(ldap_, LDAP_OPT_RESTART, LDAP_OPT_ON) == LDAP_SUCCESS &&
              ldap_set_option(ldap_, LDAP_OPT_SIZELIMIT, &unlimited) == LDAP_SUCCESS &&
              ldap_set_option(ldap_, LDAP_OPT_TIMELIMIT, &unlimited) == LDAP_SUCCESS &&
              // The name that was configured is the name that Kerberos is asked about.
              ldap_set_option(ldap_, LDAP_OPT_X_SASL_NOCANON, LDAP_OPT_ON) == LDAP_SUCCESS;
  if (good && options.tls == DirectoryTls::verify)
    good = ldap_set_option(ldap_, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand) == LDAP_SUCCESS &&
           ldap_set_option(ldap_, LDAP_OPT_X_TLS_REQUIRE_SAN, &strict_san) == LDAP_SUCCESS &&
           ldap_set_option(ldap_, LDAP_OPT_X_TLS_PROTOCOL_MIN, &least) == LDAP_SUCCESS &&
           ldap_set_option(ldap_, LDAP_OPT_X_TLS_CACERTFILE, ca) == LDAP_SUCCESS &&
           ldap_set_option(ldap_, LDAP_OPT_X_TLS_NEWCTX, &client) == LDAP_SUCCESS;
  if (!good)
    return fail(ErrorKind::tls, "TLS to " + server.to_string() + " can't be prepared; is " + ca +
                                    " a file of CA certificates (PEM)?");
  return {};
}

Result<> LdapWire::start_tls(const DirectoryServer& server) {
  if (!server.ldaps) {
    int id = 0;
    if (const int code = ldap_start_tls(ldap_, nullptr, nullptr, &id); code != LDAP_SUCCESS)
      return fail(trouble("StartTLS", code));
    auto answer = next(id, LDAP_MSG_ALL);
    if (!answer) return fail({answer.error().kind, "StartTLS: " + answer.error().message});
    if (const auto verdict = verdict_of(answer->get()); verdict.code != LDAP_SUCCESS)
      return fail(error_of(verdict.code, "StartTLS is refused; use ldaps://", verdict.diagnostic));
  }
  if (const int code = ldap_install_tls(ldap_); code != LDAP_SUCCESS) {
    auto error = trouble("TLS handshake", code);
    if (!socket_.gave_up()) {
      const auto said = diagnostic();
      error = {ErrorKind::tls, "TLS handshake: " + (said.empty() ? error.message : one_line(said)) +
                                   "; the certificate must be valid, of a CA in 'ca_file', and "
                                   "name " +
                                   server.host};
    }
    return fail(std::move(error));
  }
  char* version = nullptr;
  ldap_get_option(ldap_, LDAP_OPT_X_TLS_VERSION, &version);
  tls_ = version == nullptr ? "TLS" : version;
  ldap_memfree(version);
  return {};
}

Result<> LdapWire::open(const DirectoryOptions& options, const DirectoryServer& server,
                        const Patience& patience) {
  use(patience);
  if (auto connected = socket_.connect(server, patience); !connected) return connected;
  const auto url = server.to_string();
  if (const int code = ldap_init_fd(socket_.descriptor(), LDAP_PROTO_EXT, url.c_str(), &ldap_);
      code != LDAP_SUCCESS)
    return fail(ErrorKind::invalid, url + ": " + ldap_err2string(code));
  Sockbuf* buffer = nullptr;
  if (ldap_get_option(ldap_, LDAP_OPT_SOCKBUF, &buffer) != LDAP_SUCCESS ||
      ber_sockbuf_add_io(buffer, &kLayer, LBER_SBIOD_LEVEL_PROVIDER, &socket_) != 0)
    return fail(ErrorKind::unsupported, "this libldap takes no socket of ours");
  if (auto set = set_options(options, server); !set) return set;
  return options.tls == DirectoryTls::none && !server.ldaps ? Result<>() : start_tls(server);
}

/// The next message of an operation; every wait is cut by patience.
Result<Message> LdapWire::next(int id, int all) {
  for (;;) {
    if (auto patient = patience_.check(); !patient) return fail(std::move(patient).error());
    timeval slice = kSlice;
    LDAPMessage* message = nullptr;
    const int type = ldap_result(ldap_, id, all, &slice, &message);
    if (type > 0) return Message(message);
    if (type == 0) continue;
    int code = LDAP_SERVER_DOWN;
    ldap_get_option(ldap_, LDAP_OPT_RESULT_CODE, &code);
    auto error = trouble("waiting for the answer", code);
    return fail(std::move(error));
  }
}

Verdict LdapWire::verdict_of(LDAPMessage* message) const {
  Verdict verdict;
  char* text = nullptr;
  if (ldap_parse_result(ldap_, message, &verdict.code, nullptr, &text, nullptr, nullptr, 0) !=
      LDAP_SUCCESS)
    verdict.code = LDAP_DECODING_ERROR;
  if (text != nullptr) verdict.diagnostic = text;
  ldap_memfree(text);
  return verdict;
}

std::expected<void, DialFailure> LdapWire::bind_simple(const DirectoryOptions& options) {
  auto password = first_line_of(options.password_file);
  if (!password) return std::unexpected(DialFailure{std::move(password).error()});
  berval credentials{.bv_len = password->size(), .bv_val = password->data()};
  int id = 0;
  const int code = ldap_sasl_bind(ldap_, options.bind_dn.c_str(), LDAP_SASL_SIMPLE, &credentials,
                                  nullptr, nullptr, &id);
  if (code != LDAP_SUCCESS) return std::unexpected(DialFailure{trouble("bind", code)});
  auto answer = next(id, LDAP_MSG_ALL);
  if (!answer)
    return std::unexpected(DialFailure{{answer.error().kind, "bind: " + answer.error().message}});
  const auto verdict = verdict_of(answer->get());
  if (verdict.code == LDAP_SUCCESS) return {};
  return std::unexpected(
      DialFailure{error_of(verdict.code, "bind as " + options.bind_dn, verdict.diagnostic),
                  verdict.code == LDAP_INVALID_CREDENTIALS});
}

std::expected<void, DialFailure> LdapWire::bind_gssapi() {
  // Active Directory refuses SASL's own encryption inside TLS; without TLS it is what protects us.
  const ber_len_t none = 0, least = 56;
  const int binding = LDAP_OPT_X_SASL_CBINDING_TLS_ENDPOINT;
  if (tls_ == "none") {
    ldap_set_option(ldap_, LDAP_OPT_X_SASL_SSF_MIN, &least);
  } else {
    ldap_set_option(ldap_, LDAP_OPT_X_SASL_SSF_MAX, &none);
    ldap_set_option(ldap_, LDAP_OPT_X_SASL_CBINDING, &binding);
  }
  const char* mechanism = nullptr;
  Message answer;
  int id = 0, code = LDAP_SASL_BIND_IN_PROGRESS;
  for (;;) {
    code = ldap_sasl_interactive_bind(ldap_, nullptr, "GSSAPI", nullptr, nullptr, LDAP_SASL_QUIET,
                                      no_interaction, nullptr, answer.get(), &mechanism, &id);
    if (code != LDAP_SASL_BIND_IN_PROGRESS) break;
    auto got = next_of_sasl(id);
    if (!got)
      return std::unexpected(
          DialFailure{{got.error().kind, "bind by GSSAPI: " + got.error().message}});
    answer = std::move(*got);
  }
  if (code == LDAP_SUCCESS) return {};
  auto error = trouble("bind by GSSAPI", code);
  if (error.message.find("Server not found") != std::string::npos)
    error.message += "; 'servers' must name it as Kerberos does: the directory has ldap/NAME of it";
  else if (code == LDAP_STRONG_AUTH_REQUIRED && tls_ != "none")
    error.message =
        "bind by GSSAPI: the server wants Kerberos' own encryption inside TLS, as Samba does by "
        "default; set there 'ldap server require strong auth = allow_sasl_over_tls', or here "
        "'tls: none' with ldap://, which Kerberos then encrypts";
  else if (code == LDAP_LOCAL_ERROR || code == LDAP_AUTH_UNKNOWN)
    error.message +=
        "; KRB5_CLIENT_KTNAME or KRB5CCNAME must lead to a key or ticket of the account, and "
        "libsasl2-modules-gssapi-mit must be installed";
  return std::unexpected(DialFailure{std::move(error), code == LDAP_INVALID_CREDENTIALS});
}

std::expected<void, DialFailure> LdapWire::bind(const DirectoryOptions& options,
                                                const Patience& patience) {
  use(patience);
  return options.bind == DirectoryBind::simple ? bind_simple(options) : bind_gssapi();
}

// ---- searching

LdapEntry LdapWire::entry_of(LDAPMessage* message) const {
  LdapEntry entry;
  if (char* dn = ldap_get_dn(ldap_, message)) {
    entry.dn = dn;
    ldap_memfree(dn);
  }
  BerElement* at = nullptr;
  for (char* name = ldap_first_attribute(ldap_, message, &at); name != nullptr;
       name = ldap_next_attribute(ldap_, message, at)) {
    auto& values = entry.attributes.emplace_back(name, std::vector<std::string>()).second;
    if (berval** held = ldap_get_values_len(ldap_, message, name)) {
      for (berval** value = held; *value != nullptr; ++value)
        values.emplace_back((*value)->bv_val, (*value)->bv_len);
      ldap_value_free_len(held);
    }
    ldap_memfree(name);
  }
  ber_free(at, 0);
  return entry;
}

/// RFC 2696 §3: a server that pages always sends the control back.
Result<std::string> LdapWire::cookie_of(LDAPMessage* message) const {
  LDAPControl** controls = nullptr;
  int code = 0;
  ldap_parse_result(ldap_, message, &code, nullptr, nullptr, nullptr, &controls, 0);
  const std::unique_ptr<LDAPControl*, void (*)(LDAPControl**)> owner(controls, ldap_controls_free);
  LDAPControl* found = ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, controls, nullptr);
  if (found == nullptr)
    return fail(ErrorKind::protocol,
                "the server does not page its results (RFC 2696); what is missing can't be known");
  ber_int_t estimate = 0;
  berval cookie{};
  if (ldap_parse_pageresponse_control(ldap_, found, &estimate, &cookie) != LDAP_SUCCESS)
    return fail(ErrorKind::protocol, "the server's paged results control makes no sense");
  std::string out(cookie.bv_val == nullptr ? "" : cookie.bv_val, cookie.bv_len);
  ber_memfree(cookie.bv_val);
  return out;
}

Result<> LdapWire::read_page(int id, bool paged, LdapPage& page) {
  bool referred = false;
  for (;;) {
    auto message = next(id, LDAP_MSG_ONE);
    if (!message)
      return fail({message.error().kind, "the answer broke off after " +
                                             counted(page.entries.size(), "entry", "entries") +
                                             " of a page: " + message.error().message});
    switch (ldap_msgtype(message->get())) {
      case LDAP_RES_SEARCH_ENTRY:
        page.entries.push_back(entry_of(message->get()));
        break;
      case LDAP_RES_SEARCH_REFERENCE:
        referred = true;
        break;
      case LDAP_RES_SEARCH_RESULT: {
        const auto verdict = verdict_of(message->get());
        if (verdict.code != LDAP_SUCCESS)
          return fail(error_of(verdict.code, "search", verdict.diagnostic));
        if (referred)
          return fail(ErrorKind::unsupported,
                      "the server refers to others for a part of the entries; choose a 'base' that "
                      "it holds as a whole, and one directory for each domain");
        if (!paged) return {};
        auto cookie = cookie_of(message->get());
        if (!cookie) return fail(std::move(cookie).error());
        page.cookie = std::move(*cookie);
        return {};
      }
      default:
        break;  // an intermediate response (RFC 4511 §4.13)
    }
  }
}

Result<LdapPage> LdapWire::search(const LdapSearch& search, const Patience& patience) {
  use(patience);
  std::vector<char*> names;
  for (const auto& name : search.attributes) names.push_back(const_cast<char*>(name.c_str()));
  names.push_back(nullptr);
  std::vector<LDAPControl*> controls;
  LDAPControl* paging = nullptr;
  if (search.page_size > 0) {
    berval cookie{.bv_len = search.cookie.size(),
                  .bv_val = const_cast<char*>(search.cookie.data())};
    if (const int code = ldap_create_page_control(ldap_, static_cast<ber_int_t>(search.page_size),
                                                  &cookie, 1, &paging);
        code != LDAP_SUCCESS)
      return fail(trouble("paging", code));
    controls.push_back(paging);
  }
  const std::unique_ptr<LDAPControl, void (*)(LDAPControl*)> owner(paging, ldap_control_free);
  char deleted_id[] = "1.2.840.113556.1.4.417", scope_id[] = "1.2.840.113556.1.4.1339";
  LDAPControl deleted{.ldctl_oid = deleted_id, .ldctl_value = {}, .ldctl_iscritical = 1};
  LDAPControl scope{.ldctl_oid = scope_id, .ldctl_value = {}, .ldctl_iscritical = 1};
  if (search.show_deleted) controls.push_back(&deleted);
  if (search.domain_scope) controls.push_back(&scope);
  controls.push_back(nullptr);
  int id = 0;
  const int code = ldap_search_ext(ldap_, search.base.c_str(),
                                   search.subtree ? LDAP_SCOPE_SUBTREE : LDAP_SCOPE_BASE,
                                   search.filter.c_str(), names.size() > 1 ? names.data() : nullptr,
                                   0, controls.data(), nullptr, nullptr, LDAP_NO_LIMIT, &id);
  if (code != LDAP_SUCCESS) return fail(trouble("search", code));
  LdapPage page;
  if (auto read = read_page(id, search.page_size > 0, page); !read)
    return fail(std::move(read).error());
  return page;
}

}  // namespace

std::expected<std::unique_ptr<DirectoryWire>, DialFailure> dial_ldap(
    const DirectoryOptions& options, const DirectoryServer& server, const Patience& patience) {
  auto wire = std::make_unique<LdapWire>();
  if (auto opened = wire->open(options, server, patience.at_most(options.connect_timeout)); !opened)
    return std::unexpected(DialFailure{std::move(opened).error()});
  if (options.bind == DirectoryBind::simple && wire->tls_version() == "none" &&
      !is_loopback(server))
    return std::unexpected(
        DialFailure{{ErrorKind::invalid, "no password is sent in plain text; use ldaps://"}});
  if (auto bound = wire->bind(options, patience.at_most(options.operation_timeout)); !bound)
    return std::unexpected(std::move(bound).error());
  return wire;
}

}  // namespace waypost::routing
