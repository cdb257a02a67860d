#include "routing/workmail_json.h"

#include <boost/json/basic_parser_impl.hpp>

#include <algorithm>

namespace waypost::routing {
namespace {

namespace json = boost::json;
constexpr std::size_t kMaxDepth = 32, kMaxMembers = 32, kMaxStrange = 100;

/// Hears of each value in turn and keeps what a WorkMailDocument holds.
class Listener {
 public:
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = max_object_size;
  static constexpr std::size_t max_key_size = max_object_size;
  static constexpr std::size_t max_string_size = max_object_size;

  std::uint32_t line = 1;  // of what is being read
  WorkMailDocument document;

  bool on_document_begin(json::error_code&) {
    document = {};
    document.line = line;
    depth_ = 0;
    list_ = List::none;
    alone_ = {};
    return true;
  }
  bool on_document_end(json::error_code&) {
    const bool alone = !document.has_users && !document.has_aliases && !alone_.id.empty() &&
                       (!alone_.state.empty() || alone_.state_not_text);
    if (!alone) return true;
    alone_.line = document.line;
    document.users.push_back(std::move(alone_));
    document.has_users = true;
    return true;
  }

  bool on_object_begin(json::error_code&) {
    if (at_item() && list_ == List::users) {
      document.users.emplace_back().line = line;
      in_user_ = true;
    } else if (at_item()) {
      strange();
    } else if (at_member()) {
      wrapped_ = key_;
      mark_not_text(true);
    }
    ++depth_;
    return true;
  }
  bool on_object_end(std::size_t, json::error_code&) { return close(); }
  bool on_array_begin(json::error_code&) {
    if (depth_ == 0) {
      bare_list_ = true;
      begin_list(List::users);
    } else if (depth_ == 1 && !bare_list_) {
      if (key_ == "Users") begin_list(List::users);
      if (key_ == "Aliases") begin_list(List::aliases);
    } else if (at_item()) {
      strange();
    } else if (at_member()) {
      mark_not_text(true);
    }
    ++depth_;
    return true;
  }
  bool on_array_end(std::size_t, json::error_code&) { return close(); }

  bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
    partial_.append(part.data(), part.size());
    return true;
  }
  bool on_key(json::string_view last, std::size_t, json::error_code&) {
    partial_.append(last.data(), last.size());
    key_.swap(partial_);
    partial_.clear();
    if (depth_ == 1 && !bare_list_ && document.members.size() < kMaxMembers)
      document.members.push_back(key_);
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, json::error_code&) {
    partial_.append(part.data(), part.size());
    return true;
  }
  bool on_string(json::string_view last, std::size_t, json::error_code&) {
    partial_.append(last.data(), last.size());
    take_string();
    partial_.clear();
    return true;
  }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(std::int64_t, json::string_view, json::error_code&) { return scalar(); }
  bool on_uint64(std::uint64_t, json::string_view, json::error_code&) { return scalar(); }
  bool on_double(double, json::string_view, json::error_code&) { return scalar(); }
  bool on_bool(bool, json::error_code&) { return scalar(); }
  bool on_null(json::error_code&) {
    if (at_item()) strange();
    return true;  // as if the member were not there
  }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

  void forget() {
    bare_list_ = in_user_ = false;
    partial_.clear();
    key_.clear();
    wrapped_.clear();
  }

 private:
  enum class List { none, users, aliases };

  void begin_list(List list) {
    list_ = list;
    list_depth_ = depth_ + 1;
    (list == List::users ? document.has_users : document.has_aliases) = true;
  }
  /// The value of a user's member comes next.
  bool at_member() const {
    return in_user_ ? depth_ == list_depth_ + 1 : depth_ == 1 && list_ == List::none;
  }
  /// That of an object which is such a value: {"Value": "ENABLED"}.
  bool in_wrapped() const {
    const auto depth = in_user_ ? list_depth_ + 2 : 2;
    return depth_ == depth && !wrapped_.empty() && (key_ == "Value" || key_ == "value");
  }
  WorkMailUser& user() { return in_user_ ? document.users.back() : alone_; }
  void mark_not_text(bool is) {
    if (key_ == "State") user().state_not_text = is;
    if (key_ == "UserRole") user().role_not_text = is;
  }
  bool at_item() const { return list_ != List::none && depth_ == list_depth_; }
  bool close() {
    --depth_;
    if (depth_ <= list_depth_) in_user_ = false;
    if (at_member()) wrapped_.clear();
    if (list_ != List::none && depth_ < list_depth_) list_ = List::none;
    return true;
  }
  void strange() {
    if (document.strange.size() < kMaxStrange) document.strange.push_back(line);
  }
  bool scalar() {
    if (at_item()) strange();
    if (at_member()) mark_not_text(true);
    return true;
  }

  void take_string() {
    if (depth_ == 1 && !bare_list_ && key_ == "NextToken") {
      document.has_next_token = document.has_next_token || !partial_.empty();
    } else if (at_item()) {
      if (list_ == List::aliases)
        document.aliases.push_back(partial_);
      else
        strange();
    } else if (at_member()) {
      take_member(key_);
    } else if (in_wrapped()) {
      take_member(wrapped_);
    }
  }

  void take_member(const std::string& name) {
    auto* member = member_named(user(), name);
    if (member == nullptr) return;
    *member = partial_;
    if (member == &user().state) user().state_not_text = false;
    if (member == &user().role) user().role_not_text = false;
  }

  static std::string* member_named(WorkMailUser& user, std::string_view key) {
    if (key == "Id") return &user.id;
    if (key == "Name") return &user.name;
    if (key == "DisplayName") return &user.display_name;
    if (key == "Email") return &user.email;
    if (key == "State") return &user.state;
    if (key == "UserRole") return &user.role;
    return nullptr;
  }

  std::size_t depth_ = 0, list_depth_ = 0;
  List list_ = List::none;
  bool bare_list_ = false, in_user_ = false;
  std::string key_, partial_;
  std::string wrapped_;  // the member whose value is the object at hand; empty: none
  WorkMailUser alone_;   // members at the top, should it be one user without a list
};

class Reader {
 public:
  Reader(std::string_view file, Complaints& complaints)
      : file_(file), complaints_(complaints), parser_(options(), Listener()) {}

  std::vector<WorkMailDocument> read(std::string_view text) {
    std::string_view row;
    while (!text.empty() && good_) {
      row = text.substr(0, std::min(text.find('\n'), text.size() - 1) + 1);
      take_row(row);
      text.remove_prefix(row.size());
      if (!good_ || !row.ends_with('\n')) continue;
      ++parser_.handler().line;
      row = {};
    }
    if (good_ && open_ && !parser_.done()) {
      json::error_code error;
      parser_.write_some(false, "", 0, error);
      if (error) fail(error, row, row.size());
    }
    if (good_) finish();
    if (!good_) documents_.clear();
    return std::move(documents_);
  }

 private:
  static json::parse_options options() {
    json::parse_options out;
    out.max_depth = kMaxDepth;
    return out;
  }

  /// A row may end one document and begin others.
  void take_row(std::string_view row) {
    std::size_t at = 0;
    while (at < row.size() && good_) {
      if (!open_) {
        at = std::min(row.find_first_not_of(" \t\r\n", at), row.size());
        if (at == row.size()) return;
        open_ = true;
      }
      json::error_code error;
      const auto rest = row.substr(at);
      const auto used = parser_.write_some(true, rest.data(), rest.size(), error);
      if (error) return fail(error, row, at + used);
      at += used;
      if (at < row.size()) finish();  // it stopped before what follows the document
    }
  }

  void finish() {
    if (!open_) return;
    documents_.push_back(std::move(parser_.handler().document));
    parser_.reset();
    parser_.handler().forget();
    open_ = false;
  }

  void fail(const json::error_code& error, std::string_view row, std::size_t at) {
    good_ = false;
    const auto before = row.substr(0, at);
    const auto column = std::count_if(before.begin(), before.end(), [](char c) {
      return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    });
    std::string message;
    if (error == json::error::incomplete)
      message = "the JSON ends in the middle: the file was cut off; export it again";
    else if (error == json::error::too_deep)
      message = "the JSON is nested deeper than " + std::to_string(kMaxDepth) +
                " levels; no output of aws workmail is";
    else
      message = "this is not JSON (" + error.message() + " here)";
    complaints_.error(file_, parser_.handler().line, static_cast<std::uint32_t>(column + 1),
                      std::move(message));
  }

  std::string_view file_;
  Complaints& complaints_;
  json::basic_parser<Listener> parser_;
  std::vector<WorkMailDocument> documents_;
  bool open_ = false, good_ = true;
};

}  // namespace

std::vector<WorkMailDocument> read_workmail_documents(std::string_view file, std::string_view text,
                                                      Complaints& complaints) {
  return Reader(file, complaints).read(text);
}

}  // namespace waypost::routing
