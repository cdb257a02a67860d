#include "waypost/mail/address.h"

#include <gtest/gtest.h>

namespace waypost::mail {
namespace {

TEST(Mailbox, PrintsWhatItRead) {
  for (const char* text : {"bob@corp.example", "Bob.Smith+tag@CORP.example", "\"a b\"@x.example",
                           "\"a\\\"b\\\\c@d\"@x", "bob@[192.0.2.1]", "bob@[IPv6:2001:db8::1]",
                           "j\xC3\xBCrgen@b\xC3\xBC.example", "IMCEAEX-_O=CORP_CN=BOB@corp.example",
                           "_x@my_host", "postmaster", "PostMaster"}) {
    const auto mailbox = parse_mailbox(text);
    ASSERT_TRUE(mailbox.has_value()) << text;
    EXPECT_EQ(mailbox->to_string(), text);
  }
  EXPECT_EQ(parse_mailbox("\"bob\"@x")->to_string(), "bob@x");
  // What is no Dot-string is quoted, also if it came without quotes (RFC 5321 §4.1.2).
  for (const char* local : {"a..b", ".a", "a.", ".", "..", "j\xC3\xBC..x", "x.\xC3\xBC."}) {
    const std::string quoted = "\"" + std::string(local) + "\"@x";
    EXPECT_EQ(parse_mailbox(quoted)->to_string(), quoted);
    EXPECT_EQ(parse_mailbox(std::string(local) + "@x")->to_string(), quoted);
  }
  EXPECT_EQ(parse_mailbox("bob@corp.example.")->domain, "corp.example");
}

TEST(Mailbox, RefusesWhatIsNoAddress) {
  for (const std::string_view text : {"",
                                      "bob",
                                      "@x",
                                      "bob@",
                                      "bob@.x",
                                      "bob@x..y",
                                      "bob@-x",
                                      "bob@x-",
                                      "bob@x-.y",
                                      "a b@x",
                                      "\"\"@x",
                                      "\"open@x",
                                      "\"a\\",
                                      "bob@[192.0.2.256]",
                                      "bob@[192.0.2.1",
                                      "bob@[IPv6:zz]",
                                      "bob@[X-other:thing]",
                                      "bob@x y",
                                      "bob@x>",
                                      "a@b@c",
                                      "\"a\rb\"@x",
                                      "\"a\\\nb\"@x",
                                      "b\x7F@x",
                                      "b\xFF@x",
                                      "b\xC2\x85@x",
                                      "b\xED\xA0\x80@x"}) {
    const auto mailbox = parse_mailbox(text);
    ASSERT_FALSE(mailbox.has_value()) << text;
    EXPECT_EQ(mailbox.error().kind, ErrorKind::invalid);
    EXPECT_FALSE(mailbox.error().message.empty());
  }
  EXPECT_FALSE(parse_mailbox(std::string_view("bob@[1.2.3.4\0]", 14)));
}

TEST(Mailbox, HasLimits) {
  const std::string label(63, 'a');
  EXPECT_TRUE(parse_mailbox("b@" + label + ".x"));
  EXPECT_FALSE(parse_mailbox("b@" + label + "a.x"));
  const std::string domain = label + "." + label + "." + label + "." + label;
  EXPECT_EQ(domain.size(), kMaxDomainOctets);
  EXPECT_TRUE(parse_mailbox("b@" + domain));
  EXPECT_FALSE(parse_mailbox("b@a." + domain));
  EXPECT_TRUE(parse_mailbox(std::string(kMaxAddressOctets - 2, 'l') + "@x"));
  EXPECT_FALSE(parse_mailbox(std::string(kMaxAddressOctets - 1, 'l') + "@x"));
}

TEST(Mailbox, TakesUtf8OnlyWhereItIsAllowed) {
  EXPECT_FALSE(parse_mailbox("j\xC3\xBC@x", false));
  EXPECT_FALSE(parse_mailbox("j@\xC3\xBC.x", false));
  EXPECT_TRUE(parse_mailbox("j@\xC3\xBC.x")->needs_smtputf8());
  EXPECT_FALSE(parse_mailbox("j@x")->needs_smtputf8());
}

TEST(Path, DropsTheSourceRouteAndStopsBehindTheBracket) {
  std::string_view input = "<@a.example,@[192.0.2.1]:bob@corp.example> SIZE=5";
  const auto path = parse_path(input, false);
  ASSERT_TRUE(path && *path);
  EXPECT_EQ(to_string(*path), "bob@corp.example");
  EXPECT_EQ(input, " SIZE=5");
  input = "<>";
  const auto null = parse_path(input, false);
  ASSERT_TRUE(null.has_value());
  EXPECT_FALSE(null->has_value());
  EXPECT_EQ(to_string(*null), "<>");
  EXPECT_EQ(input, "");
}

TEST(Path, LeavesTheInputAloneWhenItIsRefused) {
  for (const std::string_view text : {"", "bob@x", "<", "<bob@x", "< bob@x>", "<bob@x >", "<@a>",
                                      "<@a,>", "<@a,b@x>", "<@a:>", "<@a b:c@x>", "<bob>"}) {
    std::string_view input = text;
    EXPECT_FALSE(parse_path(input, true)) << text;
    EXPECT_EQ(input, text);
  }
}

TEST(AsciiLower, LeavesOtherLettersAlone) {
  EXPECT_EQ(ascii_lower("AZ[\xC3\x9C@"), "az[\xC3\x9C@");
}

}  // namespace
}  // namespace waypost::mail
