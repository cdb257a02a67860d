#include "app/printable_output.h"

#include "waypost/base/printable.h"

#include <streambuf>
#include <string>

namespace waypost::app {

class PrintableOutput::Filter final : public std::streambuf {
 public:
  explicit Filter(std::streambuf* to) : to_(to) {}

 protected:
  int_type overflow(int_type c) override {
    if (traits_type::eq_int_type(c, traits_type::eof())) return traits_type::not_eof(c);
    const char octet = traits_type::to_char_type(c);
    return xsputn(&octet, 1) == 1 ? c : traits_type::eof();
  }
  std::streamsize xsputn(const char* text, std::streamsize size) override {
    text_.append(text, static_cast<std::size_t>(size));
    return pass_on(whole()) ? size : 0;
  }
  int sync() override { return pass_on(text_.size()) && to_->pubsync() == 0 ? 0 : -1; }

 private:
  /// Octets before a character that has only begun.
  std::size_t whole() const {
    for (std::size_t back = 1; back <= 3 && back <= text_.size(); ++back) {
      const auto c = static_cast<unsigned char>(text_[text_.size() - back]);
      if (c < 0x80) break;
      if (c < 0xC0) continue;
      const std::size_t length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
      return back < length ? text_.size() - back : text_.size();
    }
    return text_.size();
  }
  bool pass_on(std::size_t size) {
    const std::string out = printable(std::string_view(text_).substr(0, size));
    text_.erase(0, size);
    return to_->sputn(out.data(), static_cast<std::streamsize>(out.size())) ==
           static_cast<std::streamsize>(out.size());
  }

  std::streambuf* to_;
  std::string text_;
};

PrintableOutput::PrintableOutput(std::ostream& stream)
    : stream_(stream),
      filter_(std::make_unique<Filter>(stream.rdbuf())),
      before_(stream.rdbuf(filter_.get())) {}

PrintableOutput::~PrintableOutput() {
  stream_.flush();
  stream_.rdbuf(before_);
}

}  // namespace waypost::app
