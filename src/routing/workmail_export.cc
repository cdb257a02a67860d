// Pages of list-users and list-aliases to people with their addresses.
#include "waypost/base/spelling.h"
#include "waypost/routing/exports.h"
#include "waypost/routing/unseen.h"

#include "routing/export_text.h"
#include "routing/workmail_json.h"

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>

namespace waypost::routing {
namespace {

constexpr std::array<std::string_view, 3> kStates = {"ENABLED", "DISABLED", "DELETED"};
constexpr std::array<std::string_view, 4> kRoles = {"USER", "RESOURCE", "SYSTEM_USER",
                                                    "REMOTE_USER"};
constexpr std::string_view kListUsers =
    "aws workmail list-users --organization-id ORGANISATION --output json";
constexpr std::string_view kListAliases =
    "aws workmail list-aliases --organization-id ORGANISATION --entity-id ID --output json";

/// A top member that only another command's output has.
struct OtherCommand {
  std::string_view member, command;
};
constexpr std::array<OtherCommand, 9> kOtherCommands = {
    {{"Groups", "list-groups"},
     {"Resources", "list-resources"},
     {"Members", "list-group-members"},
     {"OrganizationSummaries", "list-organizations"},
     {"MailDomains", "list-mail-domains"},
     {"UserId", "describe-user"},
     {"GroupId", "describe-group"},
     {"ResourceId", "describe-resource"},
     {"DirectoryId", "describe-organization"}}};

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return out;
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

/// The key that equal addresses share; nullopt: no mail address.
std::optional<std::string> key_of(std::string_view address) {
  const auto parsed = read_address(address);
  if (!parsed || parsed->domain.empty()) return std::nullopt;
  auto key = normalise_key(*parsed);
  if (!key) return std::nullopt;
  return std::move(*key);
}

std::string local_part_of(std::string_view address) {
  return mail::ascii_lower(address.substr(0, address.rfind('@')));
}

std::string first_line(std::string_view text) {
  const auto begin = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  text.remove_prefix(begin);
  return quoted_excerpt(text.substr(0, text.find_first_of("\r\n")));
}

/// What is plainly no JSON: the complaint; empty: try.
std::string not_json(std::string_view text, std::string_view command) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  const auto again = "; run it again: " + std::string(command);
  if (begin == std::string_view::npos)
    return "the file is empty: the command failed, or its output went elsewhere" + again;
  const auto head = text.substr(begin, 4096);
  for (const std::string_view sign :
       {"An error occurred", "Unable to locate credentials", "usage: aws", "aws: error",
        "Could not connect", "The config profile", "You must specify a region",
        "Error when retrieving token", "ExpiredToken"})
    if (head.find(sign) != std::string_view::npos && !head.starts_with('{'))
      return "this is an error message of the AWS CLI, not its output: " + first_line(text) + again;
  if (head.starts_with("USERS\t") || head.starts_with("ALIASES\t") || head.starts_with("Users:") ||
      head.starts_with("Aliases:") || head.starts_with("---") || head.starts_with("+--"))
    return "this is the AWS CLI's output as text, table or YAML" + again;
  return {};
}

/// Names whose output a document is, if not the one that was wanted.
std::string wrong_document(const WorkMailDocument& document, std::string_view wanted) {
  for (const auto& [member, command] : kOtherCommands)
    if (std::find(document.members.begin(), document.members.end(), member) !=
        document.members.end())
      return "this is the output of " + std::string(command) +
             "; needed is that of: " + std::string(wanted);
  std::string found;
  for (const auto& member : document.members) {
    if (found.size() > 100) break;
    found += (found.empty() ? "" : ", ") + quoted_excerpt(member);
  }
  return "this is not the output of the command that is needed (" +
         (found.empty() ? "no object with members" : "found are " + found) +
         "); needed is that of: " + std::string(wanted);
}

class WorkMailReader {
 public:
  void add_users(const ExportFile& file) {
    for (auto& document : documents_of(file, kListUsers)) {
      if (document.has_aliases) {
        complaints_.error(file.name, document.line, 1,
                          "this is the output of list-aliases, given among those of list-users");
        continue;
      }
      if (!document.has_users) {
        complaints_.error(file.name, document.line, 1, wrong_document(document, kListUsers));
        continue;
      }
      for (const auto line : document.strange)
        complaints_.error(file.name, line, 1, "this item of Users is not a user");
      if (!document.has_next_token)
        ++last_pages_;
      else if (!unfinished_)
        unfinished_ = SourcePlace{file.name, document.line};
      for (auto& user : document.users) add_user(file.name, std::move(user));
    }
  }

  /// REQUIRES: all users are there.
  void add_aliases(const ExportFile& file) {
    std::optional<WorkMailDocument> open;  // its next page follows
    for (auto& document : documents_of(file, kListAliases)) {
      if (!document.has_aliases) {
        complaints_.error(
            file.name, document.line, 1,
            document.has_users
                ? "this is the output of list-users, given among those of list-aliases"
                : wrong_document(document, kListAliases));
        continue;
      }
      for (const auto line : document.strange)
        complaints_.error(file.name, line, 1, "this item of Aliases is not text");
      if (open) {
        document.line = open->line;
        document.aliases.insert(document.aliases.begin(), open->aliases.begin(),
                                open->aliases.end());
        open.reset();
      }
      if (document.has_next_token)
        open = std::move(document);
      else
        give_aliases(file.name, document);
    }
    if (open)
      complaints_.error(file.name, open->line, 1,
                        "these aliases have a NextToken, but no further page follows in this "
                        "file; let the AWS CLI fetch all pages (without --max-items and "
                        "--no-paginate)");
  }

  void finish_users() {
    if (unfinished_ && last_pages_ == 0)
      complaints_.error(unfinished_->source, unfinished_->line, 1,
                        "this page has a NextToken, but the last page is missing: some users "
                        "would be overlooked; give all pages, or let the AWS CLI fetch them "
                        "(without --max-items and --no-paginate)");
    for (std::size_t i = 0; i < entities_.size(); ++i) {
      const auto& entity = entities_[i];
      if (const auto key = key_of(entity.email)) offer(by_email_, *key, i);
      if (!entity.name.empty()) offer(by_name_, mail::ascii_lower(entity.name), i);
    }
  }

  WorkMailExport take() { return {std::move(entities_), complaints_.take()}; }

 private:
  std::vector<WorkMailDocument> documents_of(const ExportFile& file, std::string_view command) {
    std::string storage;
    const auto text = export_text(file.name, file.content, storage, complaints_);
    if (!text) return {};
    if (auto complaint = not_json(*text, command); !complaint.empty()) {
      complaints_.error(file.name, 1, 1, std::move(complaint));
      return {};
    }
    return read_workmail_documents(file.name, *text, complaints_);
  }

  void add_user(const std::string& file, WorkMailUser user) {
    const SourcePlace place{file, user.line};
    if (user.id.empty() || has_control(user.id))
      return complaints_.error(
          file, user.line, 1,
          user.id.empty() ? "this user has no Id" : "this user's Id holds a control character");
    const auto [known, fresh] = by_id_.try_emplace(user.id, place);
    if (!fresh)
      return complaints_.warning(file, user.line, 1,
                                 "the user " + quoted_excerpt(user.id) + " is already at " +
                                     known->second.to_string() +
                                     "; this one is left out (is a page given twice?)");
    if (user.state_not_text || user.role_not_text || user.state.empty())
      return complaints_.error(file, user.line, 1,
                               "the user " +
                                   quoted_excerpt(user.name.empty() ? user.id : user.name) +
                                   (user.role_not_text   ? " has a UserRole that is no text"
                                    : user.state.empty() ? " has no State"
                                                         : " has a State that is no text") +
                                   ", so whether mail can go there is not known; run it again: " +
                                   std::string(kListUsers));
    WorkMailEntity entity;
    entity.place = place;
    entity.state = known_word(file, user.line, "State", user.state, kStates);
    entity.role = known_word(file, user.line, "UserRole", user.role, kRoles);
    if (const auto unseen = unseen_complaint(user.email); !unseen.empty())
      complaints_.error(file, user.line, 1,
                        "the Email " + quoted_excerpt(user.email) + " " + unseen);
    else if (!user.email.empty() && !key_of(user.email))
      complaints_.warning(file, user.line, 1,
                          "the Email " + quoted_excerpt(user.email) + " of " +
                              quoted_excerpt(user.id) + " is no mail address and is left out");
    else
      entity.email = std::move(user.email);
    if (entity.email.empty() && entity.state == "ENABLED" &&
        (entity.role == "USER" || entity.role == "RESOURCE"))
      complaints_.warning(file, user.line, 1,
                          "the user " + quoted_excerpt(user.name.empty() ? user.id : user.name) +
                              " is ENABLED but has no Email here, and is no usable target; see "
                              "aws workmail describe-user --user-id " +
                              user.id);
    entity.id = std::move(user.id);
    entity.name = std::move(user.name);
    entity.display_name = std::move(user.display_name);
    entities_.push_back(std::move(entity));
  }

  std::string known_word(const std::string& file, std::uint32_t line, std::string_view member,
                         std::string_view value, std::span<const std::string_view> words) {
    auto word = upper(value);
    if (std::find(words.begin(), words.end(), word) == words.end())
      complaints_.warning(file, line, 1,
                          "unknown " + std::string(member) + " " + quoted_excerpt(value) +
                              "; this user counts as no usable target" + suggestion(word, words));
    return word;
  }

  using Index = std::unordered_map<std::string, std::size_t>;
  /// Of two with the same address the one that can receive mail counts.
  void offer(Index& index, const std::string& key, std::size_t entity) const {
    const auto [known, fresh] = index.try_emplace(key, entity);
    if (!fresh && !entities_[known->second].usable() && entities_[entity].usable())
      known->second = entity;
  }

  std::optional<std::size_t> owner_of(const std::vector<std::string>& keys) const {
    for (const auto& key : keys)
      if (const auto found = by_email_.find(key); found != by_email_.end()) return found->second;
    // list-users leaves Email out for some; their name is the local part mostly.
    for (const auto& key : keys)
      if (const auto found = by_name_.find(local_part_of(key));
          found != by_name_.end() && entities_[found->second].email.empty())
        return found->second;
    return std::nullopt;
  }

  void give_aliases(const std::string& file, const WorkMailDocument& document) {
    if (document.aliases.empty()) return;  // of one without aliases; nobody can say of whom
    std::vector<std::string> keys, good;
    for (const auto& alias : document.aliases) {
      if (auto key = key_of(alias)) {
        keys.push_back(std::move(*key));
        good.push_back(alias);
      } else if (const auto unseen = unseen_complaint(alias); !unseen.empty()) {
        complaints_.error(file, document.line, 1,
                          "the alias " + quoted_excerpt(alias) + " " + unseen);
      } else {
        complaints_.warning(
            file, document.line, 1,
            "the alias " + quoted_excerpt(alias) + " is no mail address and is left out");
      }
    }
    const auto owner = owner_of(keys);
    if (!owner) {
      std::string names;
      for (std::size_t i = 0; i < good.size() && i < 10; ++i)
        names += (i == 0 ? "" : ", ") + quoted_excerpt(good[i]);
      return complaints_.warning(file, document.line, 1,
                                 "no user of the list has one of these aliases as Email, so they "
                                 "are left out: " +
                                     (names.empty() ? "(none)" : names));
    }
    auto& entity = entities_[*owner];
    entity.aliases_known = true;
    for (auto& alias : good)
      if (std::find(entity.aliases.begin(), entity.aliases.end(), alias) == entity.aliases.end())
        entity.aliases.push_back(std::move(alias));
  }

  Complaints complaints_;
  std::vector<WorkMailEntity> entities_;
  std::unordered_map<std::string, SourcePlace> by_id_;
  Index by_email_, by_name_;
  std::optional<SourcePlace> unfinished_;  // a page that another must follow
  std::size_t last_pages_ = 0;
};

}  // namespace

bool WorkMailEntity::receives() const {
  return state == "ENABLED" && (role == "USER" || role == "RESOURCE");
}

bool WorkMailEntity::usable() const { return receives() && !email.empty(); }

WorkMailExport read_workmail_export(const std::vector<ExportFile>& users,
                                    const std::vector<ExportFile>& aliases) {
  WorkMailReader reader;
  for (const auto& file : users) reader.add_users(file);
  reader.finish_users();
  for (const auto& file : aliases) reader.add_aliases(file);
  return reader.take();
}

}  // namespace waypost::routing
