#include "waypost/mail/envelope.h"

#include <gtest/gtest.h>

namespace waypost::mail {
namespace {

Envelope sample() {
  Envelope e;
  e.id.value = ~0ull >> 4;
  e.accepted_at = WallTime(std::chrono::seconds(1'764'547'200));
  e.reverse_path = Mailbox{"ann", "ext.example"};
  e.ret = Ret::headers;
  e.body = BodyType::eight_bit_mime;
  e.smtputf8 = e.has_bare_newline = true;
  e.envid = "a b";
  e.message_id = "<m@x>";
  e.client = "ex1[10.0.0.5]";
  e.content_size = 1ull << 40;
  e.recipients = {{{"bob", "c.example"}, {"bob", "t.example"}, "hop", "rfc822;b@c", kNotifyNever},
                  {{"eve", "c.example"}, {"adam", "t.example"}, "hop", "", kNotifyUnset},
                  {{"postmaster", ""}, {"x y", "[192.0.2.1]"}, "other", "", 14}};
  return e;
}

TEST(Envelope, ComesBackAsItWasStored) {
  const Envelope e = sample();
  const auto back = decode_envelope(encode(e));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(encode(*back), encode(e));
  EXPECT_EQ(back->id, e.id);
  EXPECT_EQ(back->accepted_at, e.accepted_at);
  EXPECT_EQ(back->reverse_path, e.reverse_path);
  EXPECT_EQ(back->ret, e.ret);
  EXPECT_EQ(back->body, e.body);
  EXPECT_TRUE(back->smtputf8 && back->has_bare_newline && !back->is_report);
  EXPECT_EQ(back->envid, e.envid);
  EXPECT_EQ(back->message_id, e.message_id);
  EXPECT_EQ(back->client, e.client);
  EXPECT_EQ(back->content_size, e.content_size);
  ASSERT_EQ(back->recipients.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(back->recipients[i].original, e.recipients[i].original);
    EXPECT_EQ(back->recipients[i].target, e.recipients[i].target);
    EXPECT_EQ(back->recipients[i].next_hop, e.recipients[i].next_hop);
    EXPECT_EQ(back->recipients[i].orcpt, e.recipients[i].orcpt);
    EXPECT_EQ(back->recipients[i].notify, e.recipients[i].notify);
  }
}

TEST(Envelope, KnowsWhetherItsHeaderWasLookedAt) {
  for (const HeaderText header : {HeaderText::unknown, HeaderText::ascii, HeaderText::utf8}) {
    Envelope e = sample();
    e.header = header;
    EXPECT_EQ(decode_envelope(encode(e))->header, header);
  }
}

Envelope with_copies() {
  Envelope e = sample();
  Recipient copy = e.recipients[1];
  copy.target = {"adam", "u.example"};
  copy.next_hop = "second";
  copy.notify = kNotifyNever;
  copy.copy = 1;
  e.recipients.insert(e.recipients.begin() + 2, copy);
  copy.copy = kMostCopies;
  e.recipients.insert(e.recipients.begin() + 3, copy);
  return e;
}

TEST(Envelope, KeepsWhichRecipientsAreCopies) {
  const auto back = decode_envelope(encode(with_copies()));
  ASSERT_TRUE(back.has_value());
  std::string copies;
  for (const auto& recipient : back->recipients) copies += std::to_string(recipient.copy) + " ";
  EXPECT_EQ(copies, "0 0 1 11 0 ");
  EXPECT_EQ(back->recipients[3].next_hop, "second");
  EXPECT_EQ(encode(*back), encode(with_copies()));
}

TEST(Envelope, WithoutCopiesIsStoredAsItWasBeforeThereWereAny) {
  const std::string stored = encode(sample());
  EXPECT_EQ(stored[2], 1 << 1 | 1 << 2) << "no flag of copies";
  EXPECT_EQ(stored.back(), '\0') << "ends with the empty ORCPT of the last recipient";
}

TEST(Envelope, CopiesCutShortAreCorrupt) {
  const std::string stored = encode(with_copies());
  for (std::size_t n = 0; n < stored.size(); ++n)
    ASSERT_FALSE(decode_envelope(std::string_view(stored).substr(0, n))) << n;
}

TEST(Envelope, RefusesCopiesThatMakeNoSense) {
  std::string stored = encode(with_copies());
  const auto with_tail = [&](const std::string& tail) {
    return decode_envelope(stored.substr(0, stored.size() - 5) + tail).has_value();
  };
  const auto bytes = [](std::initializer_list<int> all) {
    std::string out;
    for (const int one : all) out += static_cast<char>(one);
    return out;
  };
  ASSERT_TRUE(with_tail(bytes({2, 2, 1, 0, 11})));
  EXPECT_FALSE(with_tail(bytes({1, 0, 1}))) << "a copy of nobody";
  EXPECT_FALSE(with_tail(bytes({1, 1, 1}))) << "a copy of somebody else";
  EXPECT_FALSE(with_tail(bytes({1, 2, 0}))) << "numbers begin at 1";
  EXPECT_FALSE(with_tail(bytes({1, 2, 12}))) << "there are 11 at most";
  EXPECT_FALSE(with_tail(bytes({1, 5, 1}))) << "behind the last recipient";
  EXPECT_FALSE(with_tail(bytes({3, 2, 1, 0, 11}))) << "cut short";
  EXPECT_FALSE(with_tail(bytes({1, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 1})));
}

TEST(Envelope, KeepsTheNullReversePathOfAReport) {
  Envelope e;
  e.is_report = true;
  const auto back = decode_envelope(encode(e));
  ASSERT_TRUE(back.has_value());
  EXPECT_FALSE(back->reverse_path.has_value());
  EXPECT_TRUE(back->is_report);
}

TEST(Envelope, IsCorruptWhenCutAnywhere) {
  const std::string stored = encode(sample());
  for (std::size_t n = 0; n < stored.size(); ++n) {
    const auto back = decode_envelope(std::string_view(stored).substr(0, n));
    ASSERT_FALSE(back.has_value()) << n;
    EXPECT_EQ(back.error().kind, ErrorKind::corrupt);
  }
}

TEST(Envelope, RefusesUnknownVersionsAndIgnoresWhatALaterOneAdds) {
  std::string stored = encode(sample());
  EXPECT_TRUE(decode_envelope(stored + "later"));
  stored[1] = 2;
  EXPECT_FALSE(decode_envelope(stored));
  stored[1] = 1;
  stored[0] = 'X';
  EXPECT_FALSE(decode_envelope(stored));
}

TEST(Envelope, RefusesANotifyThatNobodyWrites) {
  const std::string head("E\1\1\0\0\0\0\0\0\0\0\1\0", 13);
  EXPECT_TRUE(decode_envelope(head + "\x0F" + std::string(5, '\0') + std::string(1, '\0')));
  EXPECT_FALSE(decode_envelope(head + "\x10" + std::string(6, '\0')));
  EXPECT_FALSE(decode_envelope(head + "\x80\x02" + std::string(6, '\0')));
}

TEST(Envelope, DoesNotBelieveAForgedCount) {
  EXPECT_FALSE(decode_envelope(std::string("E\1\1\0\0\0\0\0\0\0\0", 11) + "\xFF\xFF\xFF\x7F"));
}

TEST(Envelope, SharedCopiesComeBackAndNonsenseIsRefused) {
  Envelope envelope = with_copies();
  const std::string before = encode(envelope);
  EXPECT_TRUE(decode_envelope(before)->shared_copies.empty());
  envelope.shared_copies = {{2, 4}, {3, 0}};
  const std::string stored = encode(envelope);
  const auto back = decode_envelope(stored);
  ASSERT_TRUE(back) << back.error().message;
  ASSERT_EQ(back->shared_copies.size(), 2u);
  EXPECT_EQ(back->shared_copies[0].copy, 2u);
  EXPECT_EQ(back->shared_copies[0].of, 4u);
  for (const SharedCopy wrong : {SharedCopy{2, 3}, SharedCopy{0, 4}, SharedCopy{9, 0}}) {
    envelope.shared_copies = {wrong};
    EXPECT_FALSE(decode_envelope(encode(envelope))) << wrong.copy << " " << wrong.of;
  }
  for (std::size_t size = before.size(); size < stored.size(); ++size)
    EXPECT_FALSE(decode_envelope(stored.substr(0, size))) << size;
}

}  // namespace
}  // namespace waypost::mail
