#include "waypost/mail/utf8_header_scan.h"

#include <gtest/gtest.h>

namespace waypost::mail {
namespace {

const std::string kWide = "j\xC3\xBCrgen";

bool found(const std::string& content) {
  Utf8HeaderScan scan;
  scan.feed(content);
  return scan.found();
}

std::string multipart(const std::string& part_header, const std::string& part_body) {
  return "From: a@b.example\r\nContent-Type: multipart/mixed;\r\n\tboundary=\"--=_x y'1\"\r\n\r\n" +
         ("preamble " + kWide) + "\r\n----=_x y'1\r\n" + part_header + "\r\n\r\n" + part_body +
         "\r\n----=_x y'1--\r\nepilogue: " + kWide + "\r\n";
}

TEST(Utf8HeaderScan, ABodyIsNoHeader) {
  EXPECT_FALSE(found("Subject: x\r\n\r\n" + kWide + "\r\n"));
  EXPECT_FALSE(found("Subject: x\n\n" + kWide + "\n"));
  EXPECT_FALSE(found("\r\n" + kWide));
  EXPECT_FALSE(found("Content-Type: text/plain; boundary=b\r\n\r\n--b\r\n" + kWide + "\r\n"));
  EXPECT_FALSE(found(multipart("Content-Type: text/plain; charset=utf-8", kWide)));
  EXPECT_FALSE(found(multipart("Content-Type: text/plain", "--=_other\r\nSubject: " + kWide)));
}

TEST(Utf8HeaderScan, AnyFieldOfTheHeaderCounts) {
  EXPECT_TRUE(found("Subject: " + kWide + "\r\n\r\nbody\r\n"));
  EXPECT_TRUE(found("X: y\n folded " + kWide + "\n\nbody\n"));
  EXPECT_TRUE(found(kWide + ": x\r\n\r\n"));
  EXPECT_TRUE(found("X: an octet that is no UTF-8 \xFF\r\n\r\n"));
  EXPECT_TRUE(found("X: " + std::string(100'000, 'x') + kWide + "\r\n\r\n"));
}

TEST(Utf8HeaderScan, SoDoesTheHeaderOfAPart) {
  EXPECT_TRUE(found(multipart("Content-Disposition: attachment; filename=" + kWide, "x")));
  const std::string inner = "Content-Type: multipart/alternative; boundary=in\r\n\r\n--in\r\n";
  EXPECT_TRUE(found(multipart(inner + "Content-Description: " + kWide, "x")));
  EXPECT_FALSE(
      found(multipart(inner + "Content-Type: text/html", kWide + "\r\n--in--\r\n" + kWide)));
  // A part without a header of its own, and a header that the next part cuts off.
  EXPECT_FALSE(found(multipart("", kWide)));
  EXPECT_TRUE(found("Content-Type: multipart/mixed; boundary=b\n\n--b\nX: y\n--b\nX: " + kWide));
}

TEST(Utf8HeaderScan, AnAttachedMessageIsABody) {  // RFC 6532 §3.7: 8BITMIME carries it
  for (const char* type : {"message/rfc822", "message/global"})
    EXPECT_FALSE(found(multipart(std::string("Content-Type: ") + type, "Subject: " + kWide)));
}

TEST(Utf8HeaderScan, FindsTheBoundaryHoweverItIsWritten) {
  for (const char* type :
       {"Content-Type: multipart/mixed; boundary=b1",
        "content-type:multipart/mixed;boundary=\"b1\"",
        "CONTENT-TYPE : Multipart/Mixed; charset=\"a;b\"; BOUNDARY = \"b\\1\" ; x=y",
        "Content-Type: multipart/mixed;\n  boundary=\n\t\"b1  \""}) {
    const std::string head = std::string(type) + "\n\n" + kWide + "\n--b1 \n";
    EXPECT_FALSE(found(head + "X: y\n\n" + kWide + "\n--b1--\n" + kWide)) << type;
    EXPECT_TRUE(found(head + "X: " + kWide + "\n\n")) << type;
  }
}

TEST(Utf8HeaderScan, WhatItCanNotMakeOutCounts) {
  for (const char* type : {"multipart/mixed", "multipart/mixed; boundary*0=b; boundary*1=1",
                           "multipart/mixed; boundary=\"\""}) {
    const std::string head = std::string("Content-Type: ") + type + "\r\n\r\n--b1\r\n\r\n";
    EXPECT_FALSE(found(head + "x\r\n")) << type;
    EXPECT_TRUE(found(head + kWide + "\r\n")) << type;
  }
  std::string many;
  for (int i = 0; i < 100; ++i)
    many += "Content-Type: multipart/mixed; boundary=b" + std::to_string(i) + "\n";
  EXPECT_TRUE(found(many + "\n" + kWide));
  const std::string long_one(300, 'b');
  EXPECT_TRUE(found("Content-Type: multipart/mixed; boundary=" + long_one + "\n\n" + kWide));
  EXPECT_TRUE(found("Content-Type: multipart/mixed; x=" + std::string(9000, 'x') +
                    "; boundary=b\n\n" + kWide));
}

TEST(Utf8HeaderScan, SaysTheSameHoweverTheBytesAreCut) {
  for (const std::string& content :
       {multipart("X: " + kWide, "x"), multipart("Content-Type: text/plain", kWide)}) {
    const bool whole = found(content);
    for (std::size_t cut = 0; cut <= content.size(); ++cut) {
      Utf8HeaderScan scan;
      scan.feed(std::string_view(content).substr(0, cut));
      scan.feed(std::string_view(content).substr(cut));
      ASSERT_EQ(scan.found(), whole) << cut;
    }
    Utf8HeaderScan octets;
    for (const char c : content) octets.feed(std::string_view(&c, 1));
    EXPECT_EQ(octets.found(), whole);
  }
}

}  // namespace
}  // namespace waypost::mail
