// Every conversation of tests/dialogs against ServerDialogue, in pieces of several sizes: how the
// network cuts the bytes must make no difference.
#include "smtp/dialog_script.h"
#include "smtp/dialog_stage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <memory>
#include <sstream>

namespace waypost::smtp::testing {
namespace {

/// '...' stands for any text.
bool fits(std::string_view pattern, std::string_view text) {
  const auto dots = pattern.find("...");
  if (dots == std::string_view::npos) return pattern == text;
  if (!text.starts_with(pattern.substr(0, dots))) return false;
  const std::string_view behind = pattern.substr(dots + 3);
  for (std::size_t at = dots; at <= text.size(); ++at) {
    if (fits(behind, text.substr(at))) return true;
  }
  return false;
}

class Player {
 public:
  Player(const Script& script, std::size_t piece) : script_(script), piece_(piece) {
    options_.own_name = "gw.corp.example";
    for (const auto& word : script.listener) {
      const auto number = [&](std::string_view key) {
        return std::stoull(word.substr(key.size()));
      };
      if (word == "auth") options_.offer_auth = true;
      if (word == "require-tls") options_.require_tls = true;
      if (word == "require-auth") options_.require_auth = true;
      if (word == "implicit") implicit_ = true;
      if (word == "plain" || word == "implicit") options_.offer_starttls = false;
      if (word == "reject") options_.bare_newline = BareNewline::reject;
      if (word.starts_with("max-size=")) options_.max_message_size = number("max-size=");
      if (word.starts_with("max-errors=")) {
        options_.max_errors = static_cast<std::uint32_t>(number("max-errors="));
      }
      if (word.starts_with("max-idle-commands=")) {
        options_.max_commands_without_mail =
            static_cast<std::uint32_t>(number("max-idle-commands="));
      }
      if (word.starts_with("max-commands=")) {
        options_.max_commands_per_message = static_cast<std::uint32_t>(number("max-commands="));
      }
    }
    connect();
  }

  void play() {
    for (const auto& line : script_.lines) {
      SCOPED_TRACE("line " + std::to_string(line.number) + ": " + line.text.substr(0, 100));
      act(line.text);
      if (::testing::Test::HasFailure()) return;
    }
    flush();
    EXPECT_TRUE(replies_.empty()) << "unread: " << replies_;
    check_outcome();
  }

 private:
  void connect() {
    if (dialogue_) stage_.on_abandon();
    dialogue_ = std::make_unique<ServerDialogue>(options_, stage_);
    if (implicit_) dialogue_->assume_tls();
    closed_ = wants_tls_ = false;
    replies_.clear();
    dialogue_->greet();
    feed({});
  }

  void act(const std::string& text) {
    if (text.starts_with("C:")) {
      const std::string command = text.size() > 3 ? text.substr(3) : "";
      if (mail::ascii_lower(command).starts_with("mail")) contents_.emplace_back();
      pending_ += command + "\r\n";
    } else if (text.starts_with("R: ")) {
      pending_ += unescape(text.substr(3));
    } else if (text == "D.") {
      pending_ += ".\r\n";
    } else if (text.starts_with("D:")) {
      const std::string line = (text.size() > 3 ? text.substr(3) : "") + "\r\n";
      contents_.back() += line;
      pending_ += dot_stuffed(line);
    } else if (text.starts_with("<SEND ")) {
      send(text.substr(6));
    } else if (text.starts_with("<BODY ")) {
      const std::string content = generated_content(std::stoul(text.substr(6)));
      contents_.back() += content;
      pending_ += dot_stuffed(content) + ".\r\n";
    } else {
      flush();
      turn(text);
    }
  }

  void send(const std::string& range) {
    const auto dots = range.find("..");
    const auto of = range.find(" of ");
    const std::size_t total = std::stoul(of == std::string::npos ? range : range.substr(of + 4));
    const std::size_t from = dots == std::string::npos ? 0 : std::stoul(range);
    const std::size_t end = dots == std::string::npos ? total : std::stoul(range.substr(dots + 2));
    const std::string piece = generated_content(total).substr(from, end - from);
    contents_.back() += piece;
    pending_ += piece;
  }

  void turn(const std::string& text) {
    if (text == "<TLS>") {
      ASSERT_TRUE(wants_tls_);
      wants_tls_ = false;
      dialogue_->tls_started();
    } else if (text == "<CONNECT>" || text == "<CUT>") {
      contents_.clear();
      if (text == "<CONNECT>") connect();
    } else if (text == "S closes" || text == "S drops") {
      if (text == "S drops") replies_.clear();
      EXPECT_TRUE(closed_);
      EXPECT_TRUE(replies_.empty()) << replies_;
    } else if (text.starts_with("S: ")) {
      read_reply();
      EXPECT_TRUE(fits(text.substr(3), last_reply_.empty() ? "" : last_reply_.back()))
          << "got: " << (last_reply_.empty() ? "nothing" : last_reply_.back());
    } else if (text.starts_with("S has: ")) {
      EXPECT_TRUE(has(text.substr(7)));
    } else if (text.starts_with("S lacks: ")) {
      EXPECT_FALSE(has(text.substr(9)));
    } else {
      FAIL() << "this line is not understood";
    }
  }

  bool has(const std::string& words) const {
    const std::string wanted = mail::ascii_lower(words) + " ";
    return std::any_of(last_reply_.begin(), last_reply_.end(), [&](const std::string& line) {
      return line.size() > 4 && (mail::ascii_lower(line.substr(4)) + " ").starts_with(wanted);
    });
  }

  void read_reply() {
    last_reply_.clear();
    for (auto end = replies_.find("\r\n"); end != std::string::npos; end = replies_.find("\r\n")) {
      last_reply_.push_back(replies_.substr(0, end));
      replies_.erase(0, end + 2);
      if (last_reply_.back().size() < 4 || last_reply_.back()[3] != '-') break;
    }
    if (!last_reply_.empty() && last_reply_.back().find("queued as") != std::string::npos) {
      note_accepted();
    }
  }

  /// Messages are counted by the verdict behind their content; one without content was refused, or
  /// is empty if no other is there.
  void note_accepted() {
    while (!contents_.empty() && contents_.front().empty()) contents_.pop_front();
    sent_.emplace_back();
    if (contents_.empty()) return;
    sent_.back() = contents_.front();
    contents_.pop_front();
  }

  void flush() {
    const std::string bytes = std::exchange(pending_, {});
    feed(bytes);
  }

  void feed(std::string_view bytes) {
    std::string held;
    for (std::size_t at = 0; !closed_ && (at < bytes.size() || at == 0); at += piece_) {
      held += bytes.substr(std::min(at, bytes.size()), piece_);
      std::string_view input(held);
      drive(input, at + piece_ < bytes.size());
      held = std::string(input);
      if (bytes.empty()) break;
    }
    replies_ += std::exchange(dialogue_->output(), {});
  }

  void drive(std::string_view& input, bool more) {
    for (;;) {
      switch (dialogue_->advance(input)) {
        case Step::need_input:
          ASSERT_TRUE(input.empty());
          return;
        case Step::start_tls:
          wants_tls_ = true;
          if (!input.empty() || more) closed_ = true;
          return;
        case Step::authenticate:
          dialogue_->authenticated(stage_.verify(dialogue_->credentials()));
          break;
        case Step::commit:
          dialogue_->committed(stage_.commit());
          break;
        case Step::close:
          closed_ = true;
          return;
      }
    }
  }

  void check_outcome() {
    std::vector<Accepted> wanted;
    bool checks = false;
    for (const auto& line : script_.outcome) {
      std::istringstream words(line.text);
      std::string kind, number, word;
      words >> kind >> number;
      if (kind == "Delivered:") checks = true;
      if (kind == "Delivered:" && number != "none") {
        Accepted message;
        words >> word;
        message.sender = word.substr(1, word.size() - 2);
        while (words >> word) {
          if (word.back() == ',') word.pop_back();
          message.targets.push_back(word);
        }
        const std::size_t index = std::stoul(number) - 1;
        if (index < sent_.size()) message.content = sent_[index];
        wanted.push_back(message);
      }
      if (kind == "Content:") {
        const auto first = line.text.find('"');
        wanted.at(std::stoul(number) - 1).content =
            unescape(line.text.substr(first + 1, line.text.size() - first - 2));
      }
    }
    if (!checks || script_.has_hop) return;
    ASSERT_EQ(wanted.size(), stage_.accepted().size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_EQ(wanted[i].sender, stage_.accepted()[i].sender);
      EXPECT_EQ(wanted[i].targets, stage_.accepted()[i].targets);
      EXPECT_TRUE(wanted[i].content == stage_.accepted()[i].content)
          << "content of message " << i + 1 << " differs: " << wanted[i].content.size() << " and "
          << stage_.accepted()[i].content.size() << " octets";
    }
  }

  const Script& script_;
  std::size_t piece_;
  ServerOptions options_;
  bool implicit_ = false;
  DialogStage stage_;
  std::unique_ptr<ServerDialogue> dialogue_;
  std::string pending_, replies_;
  std::deque<std::string> contents_;  // what was sent behind each MAIL
  std::vector<std::string> last_reply_, sent_;
  bool closed_ = false, wants_tls_ = false;
};

std::vector<std::string> dialogs() {
  std::vector<std::string> paths;
  for (const auto& entry :
       std::filesystem::directory_iterator(WAYPOST_SOURCE_DIR "/tests/dialogs")) {
    if (entry.path().extension() == ".smtp") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

class Dialog : public ::testing::TestWithParam<std::string> {};

TEST_P(Dialog, GoesAsWrittenHoweverTheBytesAreCut) {
  const Script script = read_script(GetParam());
  if (script.only == "daemon") GTEST_SKIP() << "for the daemon only";
  ASSERT_FALSE(script.lines.empty());
  for (const std::size_t piece : {1uz, 2uz, 7uz, 1460uz, 1uz << 20}) {
    SCOPED_TRACE("in pieces of " + std::to_string(piece));
    Player(script, piece).play();
    if (HasFailure()) return;
  }
}

std::string label(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = std::filesystem::path(info.param).stem().string();
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, Dialog, ::testing::ValuesIn(dialogs()), label);

}  // namespace
}  // namespace waypost::smtp::testing
